import { resolve as absolutePath, dirname, join } from "node:path";
import { setImmediate as turnEnd } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import type { MessageOf } from "../resource/draft.ts";
import { BodySealer } from "./body-sealer.ts";
import { decodeResource } from "./decode-resource.ts";
import type { Durability, EngineOptions, OpenedEngine, QueuedTransact } from "./engine-call.ts";
import type { EngineThread } from "./engine-thread.ts";
import type { MemoryImage } from "./memory-image.ts";
import { type StartedEngine, startEngine } from "./start-engine.ts";
import type {
  Change,
  Commit,
  LoggedChange,
  ResourceWrite,
  Store,
  StoreConflict,
  StoreEpoch,
  TransactOutcome,
} from "./store.ts";

export interface SqliteStoreOptions {
  /** The database file. Its folder is made where it is missing, and gets an `owner.pid` while the store is open. */
  readonly path: string;
  /** The file with the key that secrets are sealed with; made where it is missing. Default: secret.key beside the store. */
  readonly secretKeyPath?: string;
  /** Changes that are kept for history, watch and resume: the newest so many, at least 1. Default: 100,000. */
  readonly historyMaxCount?: number;
  /** ... and none older than this. Default: 30 days. */
  readonly historyMaxAgeMs?: number;
  /** The revision after which history is kept, whatever the limits say; null: none for that. Asked at each pruning. */
  readonly historyFloor?: (image: Pick<MemoryImage, "get">) => number | null;
  /** Limit of the database file; beyond it writes are `unavailable`. Default: none but the disk's. */
  readonly databaseMaxBytes?: number;
  /** Transacts that may wait for their commit; beyond it they are `unavailable` at once. Default: 50,000. */
  readonly queueMaxCount?: number;
  /** Told of what no caller can be told: a listener that throws, a thread that ends. Default: console.error. */
  readonly logError?: (error: unknown) => void;
  /** Unix time in milliseconds. Default: Date.now. */
  readonly now?: () => number;
  /** Starts the thread that runs sqlite-worker.ts; tests pass one that they can end. */
  readonly startWorker?: () => Worker;
}

type CompleteOptions = SqliteStoreOptions & Required<Omit<SqliteStoreOptions, "startWorker" | "databaseMaxBytes">>;

/** Transacts that share one sync of the disk. */
const batchMaxCount = 200;

/** More changes than one batch can have made: what a lost answer can have been about. */
const missedMaxCount = 1_000_000;

/** Commits after which history is looked through, and the time after which it is where there are none. */
const pruneEveryCommits = 1_000;
const pruneIntervalMs = 60 * 60 * 1_000;

const dayMs = 24 * 60 * 60 * 1_000;

interface PendingTransact extends QueuedTransact {
  /** The decoded body of each write; undefined for a delete. */
  readonly messages: readonly (MessageOf[ResourceWrite["kind"]] | undefined)[];
  readonly resolve: (outcome: TransactOutcome) => void;
}

/**
 * Opens the durable store in a SQLite file, and takes the file for this process alone.
 * Errors: StoreLockedError (another process has it, and which), StoreUnusableError (why).
 */
export async function openSqliteStore(pathOrOptions: string | SqliteStoreOptions): Promise<SqliteStore> {
  const given = typeof pathOrOptions === "string" ? { path: pathOrOptions } : pathOrOptions;
  const options: CompleteOptions = {
    historyMaxCount: 100_000,
    historyMaxAgeMs: 30 * dayMs,
    historyFloor: () => null,
    queueMaxCount: 50_000,
    logError: console.error,
    now: Date.now,
    secretKeyPath: join(dirname(given.path), "secret.key"),
    ...given,
    path: absolutePath(given.path),
  };
  const sealer = new BodySealer(absolutePath(options.secretKeyPath));
  const started = await startEngine(engineOptions(options), sealer, options.startWorker?.());
  return new SqliteStore(options, started, sealer);
}

export type { SqliteStore };

function engineOptions(options: CompleteOptions): EngineOptions {
  return { path: options.path, databaseMaxBytes: options.databaseMaxBytes ?? null, nowUnixMs: options.now() };
}

/**
 * The store, on the main thread: queues transacts, has the database's thread commit them in batches, and after each
 * batch applies what was committed to the image and tells the listeners.
 *
 * When the thread ends (it never should), the next use starts another one, and what was committed without an answer
 * is applied then: the image never falls behind the file.
 */
class SqliteStore implements Store {
  readonly epoch: StoreEpoch;
  readonly image: MemoryImage;
  readonly durability: Durability;
  readonly #options: CompleteOptions;
  readonly #sealer: BodySealer;
  readonly #subscriptions = new Set<{ readonly listener: (commit: Commit) => void }>();
  readonly #pruneTimer: NodeJS.Timeout;
  #thread: EngineThread;
  #queue: PendingTransact[] = [];
  /** Runs while there is something to commit. */
  #draining: Promise<void> | null = null;
  #restarting: Promise<void> | null = null;
  #pruning: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #commitsSincePrune = 0;

  constructor(options: CompleteOptions, started: StartedEngine, sealer: BodySealer) {
    this.#options = options;
    this.#sealer = sealer;
    this.#thread = started.thread;
    this.image = started.image;
    this.epoch = started.opened.epoch;
    this.durability = started.opened.durability;
    this.#logWarnings(started.opened);
    this.#pruneTimer = setInterval(() => this.#startPruning(), pruneIntervalMs);
    this.#pruneTimer.unref();
    this.#startPruning();
  }

  /** Without any write, nothing is committed: resolves with where the state is. */
  async transact(writes: readonly ResourceWrite[], actor: string): Promise<TransactOutcome> {
    if (this.#closing) return unavailable("the store is closed");
    if (this.#queue.length >= this.#options.queueMaxCount)
      return unavailable("too many writes are waiting for the store");
    if (writes.length === 0) return { ok: true, revision: this.image.revision, publication: this.image.publication };
    const owned = writes.map(withOwnBody);
    // Decoded before the commit: what is durable must never turn out to be unreadable.
    const messages = owned.map(({ kind, operation, body }) =>
      operation === "delete" ? undefined : decodeResource(kind, body),
    );
    return new Promise((resolve) => {
      this.#queue.push({ writes: owned, actor, messages, resolve });
      this.#draining ??= this.#drain();
    });
  }

  async readChanges(afterRevision: number, maxCount: number): Promise<readonly LoggedChange[] | null> {
    if (this.#closing) throw new Error("the store is closed");
    const thread = await this.#ensureThread();
    return this.#readLog(thread, afterRevision, maxCount);
  }

  async #readLog(thread: EngineThread, afterRevision: number, maxCount: number) {
    const changes = await thread.call("readChanges", { afterRevision, maxCount });
    return changes === null ? null : changes.map((change) => this.#unsealed(change));
  }

  #unsealed(change: LoggedChange): LoggedChange {
    const { kind, id, before, after } = change;
    const unseal = (body: Uint8Array | null) => (body === null ? null : this.#sealer.unseal(kind, id, body));
    return { ...change, before: unseal(before), after: unseal(after) };
  }

  #sealed(write: ResourceWrite): ResourceWrite {
    const body = this.#sealer.seal(write.kind, write.id, write.body);
    return body === write.body ? write : { ...write, body };
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    const subscription = { listener };
    this.#subscriptions.add(subscription);
    return () => this.#subscriptions.delete(subscription);
  }

  /** Commits what is queued, then frees the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#pruneTimer);
    await this.#draining;
    await this.#pruning;
    await this.#restarting?.catch(() => {});
    // A thread that is gone took its lock with it.
    if (this.#thread.lostBy) return;
    await this.#thread.close().catch(async (error) => {
      this.#options.logError(error);
      await this.#thread.end();
    });
  }

  async #drain(): Promise<void> {
    // At the end of this turn of the event loop, so that all transacts of one turn share a commit and a message.
    await turnEnd();
    while (this.#queue.length > 0) await this.#commit(this.#queue.splice(0, batchMaxCount));
    this.#draining = null;
  }

  async #commit(batch: readonly PendingTransact[]): Promise<void> {
    const atUnixMs = this.#options.now();
    const transacts = batch.map(({ writes, actor }) => ({ writes: writes.map((write) => this.#sealed(write)), actor }));
    let thread: EngineThread;
    try {
      thread = await this.#ensureThread();
    } catch (error) {
      this.#options.logError(error);
      refuse(batch, `the store is out of order, and the write was not made: ${messageOf(error)}`);
      return;
    }
    const revisionBefore = this.image.revision;
    let outcomes: readonly TransactOutcome[];
    try {
      outcomes = await thread.call("commit", { transacts, atUnixMs });
    } catch (error) {
      // It may still run, in a transaction that could not be undone.
      await thread.end(error);
      refuse(batch, await this.#recover(revisionBefore));
      return;
    }
    for (const [index, pending] of batch.entries()) {
      const outcome = outcomes[index]!;
      if (outcome.ok) this.#apply(pending, outcome, atUnixMs);
      pending.resolve(outcome);
    }
    if (this.#commitsSincePrune >= pruneEveryCommits) this.#startPruning();
  }

  /** Brings the image to the commit, then tells the listeners: each sees the state exactly at its commit. */
  #apply(pending: PendingTransact, at: { revision: number; publication: number }, atUnixMs: number): void {
    const { revision, publication } = at;
    const changes = pending.writes.map((write, index): Change => {
      const { kind, id, operation, body, uniqueKeys, references } = write;
      const message = pending.messages[index];
      const before =
        message === undefined
          ? this.image.remove(kind, id)
          : this.image.put({ stored: { kind, id, revision, body, message }, uniqueKeys, references });
      const after = message === undefined ? null : body;
      return { revision, kind, id, operation, before: before?.body ?? null, after, atUnixMs };
    });
    this.image.advance(revision, publication);
    this.#commitsSincePrune++;
    this.#deliver({ revision, publication, changes });
  }

  /**
   * Applies a commit of which only the history tells, and tells it: at its state, not at a later one, since a listener
   * that publishes would publish what comes later, and that may be meant to be held back.
   * @param loaded the state after all that was missed
   */
  #applyMissed(commit: Commit, loaded: MemoryImage): void {
    for (const { revision, kind, id, after } of commit.changes) {
      if (after === null) this.image.remove(kind, id);
      else {
        const last = loaded.entry(kind, id);
        // What a version was found by that was missed together with its successor is not known: as before, or as after.
        const known = last?.stored.revision === revision ? last : (this.image.entry(kind, id) ?? last);
        const { uniqueKeys, references } = known ?? { uniqueKeys: [], references: [] };
        const stored = { kind, id, revision, body: after, message: decodeResource(kind, after) };
        this.image.put({ stored, uniqueKeys, references });
      }
    }
    this.image.advance(commit.revision, commit.publication);
    this.#deliver(commit);
  }

  #deliver(commit: Commit): void {
    for (const { listener } of this.#subscriptions) {
      try {
        listener(commit);
      } catch (error) {
        this.#options.logError(new Error("a listener for commits has thrown", { cause: error }));
      }
    }
  }

  /** After a commit without an answer: says what is known of it. */
  async #recover(revisionBefore: number): Promise<string> {
    try {
      await this.#ensureThread();
    } catch (error) {
      this.#options.logError(error);
      return `the store is out of order, and whether the write was made is not known: ${messageOf(error)}`;
    }
    if (this.image.revision === revisionBefore) return "the store had to be restarted; the write was not made";
    return "the store had to be restarted; the write may have been made, read it before another try";
  }

  /** Starts the thread anew where it has ended. Errors: rejects when that fails; the next call tries again. */
  async #ensureThread(): Promise<EngineThread> {
    if (this.#thread.lostBy) {
      this.#restarting ??= this.#restart(this.#thread.lostBy).finally(() => {
        this.#restarting = null;
      });
      await this.#restarting;
    }
    return this.#thread;
  }

  async #restart(lostBy: Error): Promise<void> {
    this.#options.logError(lostBy);
    // Gone for good, or its lock would keep the next one out.
    await this.#thread.end();
    const { thread, opened, image } = await startEngine(
      engineOptions(this.#options),
      this.#sealer,
      this.#options.startWorker?.(),
    );
    this.#logWarnings(opened);
    try {
      const isSame = Buffer.compare(opened.epoch.id, this.epoch.id) === 0 && opened.revision >= this.image.revision;
      if (!isSame) throw new Error(`${this.#options.path} was replaced by another store`);
      const missed = await this.#readLog(thread, this.image.revision, missedMaxCount);
      this.#thread = thread;
      for (const commit of groupByCommit(missed ?? [])) this.#applyMissed(commit, image);
      // Also where all was told: what a version between had for keys was a guess, and may have cost others theirs.
      this.image.replaceWith(image);
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  #startPruning(): void {
    if (this.#pruning || this.#closing) return;
    this.#commitsSincePrune = 0;
    this.#pruning = this.#prune()
      .catch((error) => this.#options.logError(new Error("old changes cannot be removed", { cause: error })))
      .finally(() => {
        this.#pruning = null;
      });
  }

  async #prune(): Promise<void> {
    const { historyMaxCount: maxCount, historyMaxAgeMs, historyFloor, now } = this.#options;
    const request = { maxCount, keepSinceUnixMs: now() - historyMaxAgeMs };
    let isDone = false;
    // Step by step: a batch that waits for the thread goes between two steps.
    while (!isDone && !this.#closing) {
      const keepAfterRevision = historyFloor(this.image);
      ({ isDone } = await this.#thread.call("prune", { ...request, keepAfterRevision }));
    }
  }

  #logWarnings(opened: OpenedEngine): void {
    for (const warning of opened.warnings) this.#options.logError(new Error(warning));
  }
}

/**
 * The write with a body of its own: a view of a larger buffer would drag all of that buffer to the other thread,
 * and into the image.
 */
function withOwnBody(write: ResourceWrite): ResourceWrite {
  const isWhole = write.body.byteLength === write.body.buffer.byteLength;
  return isWhole ? write : { ...write, body: new Uint8Array(write.body) };
}

function groupByCommit(changes: readonly LoggedChange[]): Commit[] {
  const commits = Map.groupBy(changes, (change) => change.revision);
  return [...commits].map(([revision, changes]) => ({ revision, publication: changes[0]!.publication, changes }));
}

function refuse(batch: readonly PendingTransact[], message: string): void {
  for (const pending of batch) pending.resolve(unavailable(message));
}

function unavailable(message: string): { readonly ok: false; readonly conflict: StoreConflict } {
  return { ok: false, conflict: { type: "unavailable", message } };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { isSameHash } from "../proto/state-hash.ts";
import { readSeed, type SeedPlace, seedName } from "./seed.ts";
import type { ApplyOutcome, ApplySnapshot, ReceivedSnapshot, Refusal } from "./snapshot/apply-snapshot.ts";
import type { AppliedSnapshot, SnapshotApplier } from "./snapshot/snapshot-applier.ts";
import type { LoadedSnapshot, SnapshotFile } from "./snapshot/snapshot-file.ts";
import type { HeldSnapshot } from "./sync/held-snapshots.ts";
import { judgeOffer } from "./sync/judge-offer.ts";
import { refusalOf } from "./sync/snapshot-assembler.ts";
import type { Log } from "./telemetry/log.ts";
import type { Timers } from "./upstream/timers.ts";

export interface FirstSnapshotOptions {
  readonly file: Pick<SnapshotFile, "load" | "loadBefore" | "giveUp">;
  /** Why something is not to be served where there is something else; null when nothing is known against it. */
  readonly unfit: (snapshot: AppliedSnapshot) => Refusal | null;
  readonly seed: SeedPlace | null;
  readonly applier: Pick<SnapshotApplier, "begin" | "apply" | "served">;
  /** Keeps a seed that is served, so that the next start needs it no more. */
  readonly keep: (snapshot: ReceivedSnapshot) => void;
  readonly timers: Timers;
  readonly log: Pick<Log, "info" | "warn" | "error">;
}

export interface FirstSnapshot {
  /** What the node starts with; null for nothing. */
  readonly held: HeldSnapshot | null;
  /** For what control planes bring: never takes the node back behind what it serves by then. */
  readonly apply: ApplySnapshot;
  /** Gives up what is still being fetched. */
  readonly close: () => void;
}

/**
 * Serves what this node served last, or a seed file where that is newer; the workers that start after this have it from
 * their first request on. A seed that is refused is followed by what was kept, and that by the generation before it.
 * Where there is neither, a seed that has a URL is fetched meanwhile.
 */
export async function beginFirst(options: FirstSnapshotOptions): Promise<FirstSnapshot> {
  const { seed, applier } = options;
  const { held, outcome } = await restore(options);
  const apply = newestOnly(applier, outcome);
  if (seed?.type !== "url") return { held, apply, close: () => {} };
  const isNeeded = () => applier.served === null;
  return { held, apply, close: fetchSeedWhileNeeded({ ...options, seed, apply, isNeeded, first: outcome }) };
}

interface Restored {
  readonly held: HeldSnapshot | null;
  /** Resolves when the workers serve it, or refused it. */
  readonly outcome: Promise<unknown>;
}

/** Something that a node may start with. */
interface Source {
  /** null for nothing. */
  readonly load: () => Promise<HeldSnapshot | null>;
  /** What is logged when it is refused. */
  readonly problem: string;
  readonly onServed?: (held: HeldSnapshot) => void;
  /** For what is unfit, and nothing else. */
  readonly isLastResort?: boolean;
}

async function restore(options: FirstSnapshotOptions): Promise<Restored> {
  const { file, unfit, seed, keep, log } = options;
  const kept = await loadKept(file.load(), log);
  const seeded = seed?.type === "file" ? await newerSeed(seed, kept, log) : null;
  const sources: readonly Source[] = [
    {
      load: async () => seeded,
      problem: "the seed was refused",
      onServed: ({ snapshot }) => keep(snapshot),
    },
    { load: async () => kept, problem: "kept snapshot refused" },
    {
      load: async () => (kept === null ? null : await loadKept(file.loadBefore(kept.snapshot), log)),
      problem: "kept snapshot before it refused",
      // Otherwise it would be what is gone back to from the next.
      onServed: () => {
        if (kept !== null && unfit(kept.snapshot) !== null) void file.giveUp(kept.snapshot.publication);
      },
    },
  ];
  // Better what is unfit than nothing.
  return beginFirstOf(options, [...sources, ...sources.map((source) => ({ ...source, isLastResort: true }))]);
}

/** What is refused, by this program or since workers or processes die of it, is followed by the next. */
async function beginFirstOf(options: FirstSnapshotOptions, sources: readonly Source[]): Promise<Restored> {
  for (const [i, source] of sources.entries()) {
    const held = await loadFit(options, source);
    const { problem, onServed } = source;
    const begun = held === null ? null : await begin(options, held, problem);
    if (held === null || begun === null) continue;
    const outcome = begun.outcome.then(async ({ ok }) => {
      if (ok) onServed?.(held);
      else await (await beginFirstOf(options, sources.slice(i + 1))).outcome;
    });
    return { held, outcome };
  }
  return { held: null, outcome: Promise.resolve() };
}

/** null also for what is not to be taken from it now. */
async function loadFit({ unfit, log }: FirstSnapshotOptions, source: Source): Promise<HeldSnapshot | null> {
  const held = await source.load();
  const refusal = held === null ? null : unfit(held.snapshot);
  if (held === null || refusal === null) return source.isLastResort ? null : held;
  const { publication } = held.snapshot;
  if (!source.isLastResort) {
    log.error({ publication, refusal }, source.problem);
    return null;
  }
  log.warn({ publication }, "there is nothing else to serve: it is tried anew");
  return held;
}

async function loadKept(loading: Promise<LoadedSnapshot>, log: Pick<Log, "warn">): Promise<HeldSnapshot | null> {
  const { snapshot, content, skipped } = await loading;
  for (const { file: path, reason } of skipped) log.warn({ file: path, reason }, "kept snapshot not usable");
  return snapshot === null || content === null ? null : { snapshot, content };
}

/** null when the seed is of no use, or when what was kept is as new. */
async function newerSeed(
  place: SeedPlace,
  kept: HeldSnapshot | null,
  log: FirstSnapshotOptions["log"],
): Promise<HeldSnapshot | null> {
  const seed = await readSeed(place);
  const told = { seed: seedName(place) };
  if (!seed.ok) {
    log[kept === null ? "error" : "warn"]({ ...told, problem: seed.problem }, "the seed is not usable");
    return null;
  }
  const { publication } = seed.snapshot;
  const isKept = kept !== null && isSameHash(kept.snapshot.stateHash, seed.snapshot.stateHash);
  if (isKept || judgeOffer(kept?.snapshot ?? null, seed.snapshot).type !== "take") {
    const keptPublication = kept?.snapshot.publication;
    log.info({ ...told, publication, keptPublication }, "the seed is not used: what this node has is as new");
    return null;
  }
  log.info({ ...told, publication }, "starts from the seed");
  return { snapshot: asSeed(seed.snapshot), content: seed.content };
}

/**
 * A seed is served under the number 0 of its epoch: it is all that there was, and this node's subset may be less, with a
 * number of its own. So whatever a control plane of that epoch has replaces it, unless its content is the same.
 */
function asSeed(snapshot: ReceivedSnapshot): ReceivedSnapshot {
  return { ...snapshot, publication: 0 };
}

/** Returns once the snapshot is with the workers, with the outcome to come; null when it was refused before that. */
async function begin(
  { applier, log }: FirstSnapshotOptions,
  { snapshot }: HeldSnapshot,
  problem: string,
): Promise<{ readonly outcome: Promise<ApplyOutcome> } | null> {
  const { isUnderWay, outcome } = applier.begin(snapshot);
  void outcome.then((result) => {
    if (!result.ok) log.error({ publication: snapshot.publication, refusal: result.refusal }, problem);
  });
  const early = await Promise.race([outcome, isUnderWay.then(() => null)]);
  return early === null || early.ok ? { outcome } : null;
}

/**
 * Applies snapshots one at a time, whoever brings them, and only what is newer than what is then served: a seed that
 * arrives late replaces nothing that a control plane brought meanwhile.
 *
 * @param first what is being applied already
 */
export function newestOnly(applier: Pick<SnapshotApplier, "apply" | "served">, first: Promise<unknown>): ApplySnapshot {
  let last = first;
  return (snapshot) => {
    const outcome = last.then((): ApplyOutcome | Promise<ApplyOutcome> => {
      const verdict = judgeOffer(applier.served, snapshot);
      if (verdict.type === "take") return applier.apply(snapshot);
      if (verdict.type === "duplicate") return { ok: true };
      return { ok: false, refusal: refusalOf(verdict.reason, verdict.message) };
    });
    last = outcome.catch(() => {});
    return outcome;
  };
}

export interface LateSeedOptions {
  readonly seed: SeedPlace;
  readonly apply: ApplySnapshot;
  /** What the node starts with; no seed is fetched before it is served or refused. */
  readonly first: Promise<unknown>;
  /** Whether there is nothing to serve. */
  readonly isNeeded: () => boolean;
  readonly keep: (snapshot: ReceivedSnapshot) => void;
  readonly timers: Timers;
  readonly log: Pick<Log, "info" | "warn" | "error">;
  /** Default: `readSeed`. */
  readonly read?: typeof readSeed;
}

const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * Fetches a seed for as long as the node has nothing to serve: a control plane that answers first makes it needless.
 * Waits 1 s after a failure, then twice as long each time, up to 30 s.
 * @returns what ends it
 */
export function fetchSeedWhileNeeded(options: LateSeedOptions): () => void {
  const { seed: place, apply, first, isNeeded, keep, timers, log, read = readSeed } = options;
  let isOver = false;
  let cancel = () => {};
  let lastProblem = "";
  const told = { seed: seedName(place) };

  async function attempt(retryMs: number): Promise<void> {
    if (isOver || !isNeeded()) return;
    const seed = await read(place);
    if (isOver || !isNeeded()) return;
    let problem = seed.ok ? "" : seed.problem;
    if (seed.ok) {
      log.info({ ...told, publication: seed.snapshot.publication }, "starts from the seed");
      const outcome = await apply(asSeed(seed.snapshot));
      if (outcome.ok) return keep(asSeed(seed.snapshot));
      const { reason, entityKind, entityId, field, message } = outcome.refusal;
      problem = [reason, entityKind, entityId, field, message].filter((word) => word !== "").join(" ");
    }
    if (problem !== lastProblem) log.error({ ...told, problem }, "the seed is not usable");
    lastProblem = problem;
    cancel = timers.after(retryMs, () => void attempt(Math.min(2 * retryMs, RETRY_MAX_MS)));
  }

  void first.then(() => attempt(RETRY_FIRST_MS));
  return () => {
    isOver = true;
    cancel();
  };
}

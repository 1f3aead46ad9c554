import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { CommitBatch, QueuedTransact } from "./engine-call.ts";
import { isPublished } from "./is-published.ts";
import type { ResourceWrite, StoreConflict, TransactOutcome } from "./store.ts";

/** Where a transact stands in history if it is committed. */
interface Turn {
  readonly revision: number;
  readonly publication: number;
  readonly atUnixMs: number;
}

/**
 * Commits transacts to SQLite, many in one transaction so that they share one sync of the disk.
 *
 * Plain prepared statements rather than Kysely: its queries are asynchronous, and a batch must run in one go,
 * with no other call of this thread between its BEGIN and its COMMIT. Kysely also prepares anew for each query.
 */
export class BatchCommitter {
  readonly #database: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#sql = prepareStatements(database);
  }

  /**
   * One outcome for each transact. A conflicting one leaves no trace, and the others are committed.
   * Errors: throws only when a failed transaction cannot be undone; the connection must then be given up.
   */
  commit(batch: CommitBatch): TransactOutcome[] {
    try {
      return this.#commitTogether(batch);
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      // What does not fit on the disk together may fit alone: one huge transact must not fail its neighbours.
      if (batch.transacts.length > 1)
        return batch.transacts.flatMap((one) => this.commit({ ...batch, transacts: [one] }));
      return [unavailable(error)];
    }
  }

  #commitTogether(batch: CommitBatch): TransactOutcome[] {
    this.#sql.begin.run();
    let { revision, publication } = this.#sql.readCounters.get() as { revision: number; publication: number };
    const outcomes = batch.transacts.map((transact): TransactOutcome => {
      const step = transact.writes.some(({ kind, movesNodes }) => isPublished(kind) || movesNodes === true) ? 1 : 0;
      const turn: Turn = { revision: revision + 1, publication: publication + step, atUnixMs: batch.atUnixMs };
      const conflict = this.#tryTransact(transact, turn);
      if (conflict !== null) return { ok: false, conflict };
      ({ revision, publication } = turn);
      return { ok: true, revision, publication };
    });
    if (outcomes.some((outcome) => outcome.ok)) {
      this.#sql.writeCounters.run(revision, publication);
      this.#sql.commit.run();
    } else {
      this.#sql.rollback.run();
    }
    return outcomes;
  }

  /** Leaves the transact's rows, or those from before it and says why. */
  #tryTransact(transact: QueuedTransact, turn: Turn): StoreConflict | null {
    this.#sql.savepoint.run();
    let conflict: StoreConflict | null;
    try {
      conflict = this.#writeRows(transact, turn) ?? this.#writeKeysAndReferences(transact.writes);
      conflict ??= this.#findDanglingReference(transact.writes) ?? this.#findReferrerOfDeleted(transact.writes);
    } catch (error) {
      // SQLite's own failures (disk, memory) concern the whole batch; a value it cannot take concerns this one only.
      if (!isRefusedValue(error)) throw error;
      conflict = unavailable(error).conflict;
    }
    if (conflict !== null) this.#sql.rollbackToSavepoint.run();
    this.#sql.releaseSavepoint.run();
    return conflict;
  }

  #writeRows(transact: QueuedTransact, turn: Turn): StoreConflict | null {
    const { revision, publication, atUnixMs } = turn;
    for (const [index, write] of transact.writes.entries()) {
      const { kind, id, operation, body } = write;
      const row = this.#sql.readResource.get(kind, id) as { revision: number; body: Uint8Array } | undefined;
      const conflict = checkRow(write, index, row);
      if (conflict !== null) return conflict;
      if (operation === "create") this.#sql.insertResource.run(kind, id, revision, body);
      else if (operation === "update") this.#sql.updateResource.run(revision, body, kind, id);
      else this.#sql.deleteResource.run(kind, id);
      const after = operation === "delete" ? null : body;
      const before = row?.body ?? null;
      this.#sql.insertChange.run(
        revision,
        publication,
        index,
        kind,
        id,
        operation,
        before,
        after,
        transact.actor,
        atUnixMs,
      );
    }
    return null;
  }

  /**
   * Keys and references count as they are when the transaction ends, so all old ones go before any new one comes:
   * two resources may swap their names, and a name may pass from a deleted resource to a new one.
   */
  #writeKeysAndReferences(writes: readonly ResourceWrite[]): StoreConflict | null {
    for (const { kind, id } of writes) {
      this.#sql.deleteKeys.run(kind, id);
      this.#sql.deleteReferences.run(kind, id);
    }
    for (const [index, write] of lastWrites(writes)) {
      if (write.operation === "delete") continue;
      for (const key of new Set(write.uniqueKeys)) {
        if (this.#sql.hasKey.get(write.kind, key) !== undefined) return { type: "duplicate_key", write: index, key };
        this.#sql.insertKey.run(write.kind, key, write.id);
      }
      for (const to of write.references) this.#sql.insertReference.run(write.kind, write.id, to.kind, to.id);
    }
    return null;
  }

  #findDanglingReference(writes: readonly ResourceWrite[]): StoreConflict | null {
    for (const [index, write] of lastWrites(writes)) {
      if (write.operation === "delete") continue;
      const missing = write.references.find((to) => this.#sql.hasResource.get(to.kind, to.id) === undefined);
      if (missing) return { type: "dangling_reference", write: index, kind: missing.kind, id: missing.id };
    }
    return null;
  }

  #findReferrerOfDeleted(writes: readonly ResourceWrite[]): StoreConflict | null {
    for (const [index, write] of lastWrites(writes)) {
      if (write.operation !== "delete") continue;
      const by = this.#sql.findReferrer.get(write.kind, write.id) as Pick<ResourceWrite, "kind" | "id"> | undefined;
      if (by) return { type: "still_referenced", write: index, byKind: by.kind, byId: by.id };
    }
    return null;
  }
}

function checkRow(write: ResourceWrite, index: number, row: { revision: number } | undefined): StoreConflict | null {
  if (write.operation === "create" && row !== undefined) return { type: "duplicate_id", write: index };
  // An update or delete of what is not there was decided on a state that has passed, whatever it expected.
  if (write.operation !== "create" && row === undefined) return { type: "revision", write: index };
  if (write.expectedRevision !== null && write.expectedRevision !== row?.revision)
    return { type: "revision", write: index };
  return null;
}

/** The write that has the last word on each resource, with its index. */
function lastWrites(writes: readonly ResourceWrite[]): Iterable<[number, ResourceWrite]> {
  if (writes.length === 1) return [[0, writes[0]!]];
  const last = new Map<string, [number, ResourceWrite]>();
  for (const [index, write] of writes.entries()) last.set(`${write.kind} ${write.id}`, [index, write]);
  return last.values();
}

function unavailable(error: unknown): { ok: false; conflict: StoreConflict } {
  const reason = error instanceof Error ? error.message : String(error);
  return { ok: false, conflict: { type: "unavailable", message: `the store cannot write: ${reason}` } };
}

/** Primary result codes of SQLite for a value that breaks a constraint, is too big, or is of a wrong type. */
const refusedValueCodes = new Set([18, 19, 20]);

function isRefusedValue(error: unknown): boolean {
  const errcode = (error as { errcode?: number }).errcode;
  return errcode === undefined || refusedValueCodes.has(errcode & 0xff);
}

function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    begin: prepare("BEGIN IMMEDIATE"),
    commit: prepare("COMMIT"),
    rollback: prepare("ROLLBACK"),
    savepoint: prepare("SAVEPOINT transact"),
    rollbackToSavepoint: prepare("ROLLBACK TO transact"),
    releaseSavepoint: prepare("RELEASE transact"),
    readCounters: prepare("SELECT revision, publication FROM meta"),
    writeCounters: prepare("UPDATE meta SET revision = ?, publication = ?"),
    readResource: prepare("SELECT revision, body FROM resources WHERE kind = ? AND id = ?"),
    hasResource: prepare("SELECT 1 FROM resources WHERE kind = ? AND id = ?"),
    insertResource: prepare("INSERT INTO resources (kind, id, revision, body) VALUES (?, ?, ?, ?)"),
    updateResource: prepare("UPDATE resources SET revision = ?, body = ? WHERE kind = ? AND id = ?"),
    deleteResource: prepare("DELETE FROM resources WHERE kind = ? AND id = ?"),
    hasKey: prepare("SELECT 1 FROM resource_keys WHERE kind = ? AND key = ?"),
    insertKey: prepare("INSERT INTO resource_keys (kind, key, id) VALUES (?, ?, ?)"),
    deleteKeys: prepare("DELETE FROM resource_keys WHERE kind = ? AND id = ?"),
    insertReference: prepare(
      "INSERT OR IGNORE INTO resource_references (kind, id, to_kind, to_id) VALUES (?, ?, ?, ?)",
    ),
    deleteReferences: prepare("DELETE FROM resource_references WHERE kind = ? AND id = ?"),
    findReferrer: prepare("SELECT kind, id FROM resource_references WHERE to_kind = ? AND to_id = ? LIMIT 1"),
    insertChange: prepare(
      `INSERT INTO changes (revision, publication, ordinal, kind, id, operation, before, after, actor, at_unix_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
  };
}

import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { BatchCommitter } from "./batch-committer.ts";
import { pruneChanges, readChanges } from "./change-log.ts";
import type { Durability, EngineCalls, EngineOptions, OpenResult } from "./engine-call.ts";
import { loadResources } from "./load-resources.ts";
import { migrations, migrationTableName } from "./migrations.ts";
import { nodeSqliteDialect } from "./node-sqlite-dialect.ts";
import { readOwnerPid, removeOwnerPid, writeOwnerPid } from "./owner-pid.ts";
import type { StoreSchema } from "./store-schema.ts";

/** Marks a SQLite file as ours ("PNST"), so that nobody's else is ever migrated. */
const applicationId = 0x504e5354;

/** Tries to take the lock, with up to lockPauseMaxMs of random length between them: about 0.3 s in all. */
const lockTryCount = 5;
const lockPauseMaxMs = 150;

/** What the write-ahead log is cut to after a large transaction. */
const journalMaxBytes = 64 * 1024 * 1024;

type Argument<Name extends keyof EngineCalls> = EngineCalls[Name]["argument"];

/** An open database, in the thread that holds it. All of it is called one call after the other. */
export class SqliteEngine {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #db: Kysely<StoreSchema>;
  readonly #committer: BatchCommitter;

  private constructor(path: string, database: DatabaseSync, db: Kysely<StoreSchema>) {
    this.#path = path;
    this.#database = database;
    this.#db = db;
    this.#committer = new BatchCommitter(database);
  }

  /** Opens, locks, checks and migrates the file. What is wrong with it is a result, not an error. */
  static async open(options: EngineOptions): Promise<{ result: OpenResult; engine: SqliteEngine | null }> {
    let database: DatabaseSync | null = null;
    try {
      mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
      database = await openLocked(options.path);
      if (database === null) {
        return { result: { status: "locked", ownerPid: readOwnerPid(options.path) }, engine: null };
      }
      // Before anything is written: a file that is not ours stays as it is.
      checkFile(database);
      const durability = configure(database, options);
      const db = new Kysely<StoreSchema>({ dialect: nodeSqliteDialect(database) });
      await migrate(db);
      const { epoch_counter, epoch_id, revision, publication } = await readOrCreateMeta(db, options.nowUnixMs);
      const warnings = nameOwner(options.path);
      const epoch = { counter: epoch_counter, id: epoch_id };
      const engine = new SqliteEngine(options.path, database, db);
      return { result: { status: "open", engine: { epoch, revision, publication, durability, warnings } }, engine };
    } catch (error) {
      database?.close();
      return { result: { status: "unusable", reason: messageOf(error) }, engine: null };
    }
  }

  loadResources(after: Argument<"loadResources">) {
    return loadResources(this.#db, after);
  }

  commit(batch: Argument<"commit">) {
    return this.#committer.commit(batch);
  }

  readChanges({ afterRevision, maxCount }: Argument<"readChanges">) {
    return readChanges(this.#db, afterRevision, maxCount);
  }

  prune(request: Argument<"prune">) {
    return pruneChanges(this.#db, request);
  }

  close(): null {
    removeOwnerPid(this.#path);
    this.#database.close();
    return null;
  }
}

/**
 * The database with its lock taken for as long as it is open; null when another process has it.
 * The lock is the operating system's, so kill -9 frees it. It would also be lost if this process opened and closed
 * the file by any other way than SQLite (POSIX locks belong to the process): nothing here may do that.
 */
async function openLocked(path: string): Promise<DatabaseSync | null> {
  for (let tries = 1; ; tries++) {
    // No waiting inside SQLite: of several that start at once, each holding a shared lock, all would wait in vain.
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      // Exclusive before the log is first touched: then its index is on the heap and no -shm file is shared.
      database.exec("PRAGMA locking_mode = EXCLUSIVE");
      database.exec("BEGIN EXCLUSIVE");
      database.exec("COMMIT");
      return database;
    } catch (error) {
      database.close();
      if (!isBusy(error)) throw error;
      if (tries === lockTryCount) return null;
    }
    await pause(Math.random() * lockPauseMaxMs);
  }
}

function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === 5;
}

/** Sets what durability needs, and returns what SQLite then says it does. */
function configure(database: DatabaseSync, options: EngineOptions): Durability {
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = FULL");
  // On macOS a plain fsync stays in the drive's cache.
  database.exec("PRAGMA fullfsync = ON");
  database.exec(`PRAGMA journal_size_limit = ${journalMaxBytes}`);
  if (options.databaseMaxBytes !== null) {
    const pageCount = Math.floor(options.databaseMaxBytes / readPragma(database, "page_size"));
    database.exec(`PRAGMA max_page_count = ${pageCount}`);
  }
  const durability = {
    synchronous: readPragma<number>(database, "synchronous"),
    journalMode: readPragma<string>(database, "journal_mode"),
    lockingMode: readPragma<string>(database, "locking_mode"),
  };
  if (durability.synchronous !== 2 || durability.journalMode !== "wal" || durability.lockingMode !== "exclusive")
    throw new Error(`the file system does not allow durable writes (${JSON.stringify(durability)})`);
  return durability;
}

/** Throws when the file is damaged, or another application's. */
function checkFile(database: DatabaseSync): void {
  const problems = database.prepare("PRAGMA quick_check(3)").all();
  const first = problems[0]?.["quick_check"];
  if (first !== "ok") throw new Error(`the database is damaged: ${first}`);
  const { tableCount } = database.prepare("SELECT count(*) AS tableCount FROM sqlite_schema").get()!;
  if (tableCount === 0) database.exec(`PRAGMA application_id = ${applicationId}`);
  else if (readPragma(database, "application_id") !== applicationId)
    throw new Error("the database belongs to another application");
}

async function migrate(db: Kysely<StoreSchema>): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName,
    migrationLockTableName: `${migrationTableName}_lock`,
  });
  const unknown = (await executedMigrations(db)).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0)
    throw new Error(`the database was written by a newer version of Penstock (migration ${unknown[0]})`);
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

async function executedMigrations(db: Kysely<StoreSchema>): Promise<string[]> {
  const tables = await db.introspection.getTables();
  if (!tables.some((table) => table.name === migrationTableName)) return [];
  const untyped = db as unknown as Kysely<Record<typeof migrationTableName, { name: string }>>;
  const rows = await untyped.selectFrom(migrationTableName).select("name").orderBy("name").execute();
  return rows.map((row) => row.name);
}

async function readOrCreateMeta(db: Kysely<StoreSchema>, nowUnixMs: number): Promise<StoreSchema["meta"]> {
  const row = await db.selectFrom("meta").selectAll().executeTakeFirst();
  if (row !== undefined) return row;
  const created = {
    singleton: 1 as const,
    epoch_counter: nowUnixMs,
    epoch_id: new Uint8Array(randomBytes(16)),
    revision: 0,
    publication: 0,
    pruned_revision: 0,
  };
  await db.insertInto("meta").values(created).execute();
  return created;
}

/** Writes the pid file; that it cannot be written is worth a warning and no more. */
function nameOwner(path: string): string[] {
  try {
    writeOwnerPid(path);
    return [];
  } catch (error) {
    return [`the store's owner.pid cannot be written: ${messageOf(error)}`];
  }
}

function readPragma<T extends number | string = number>(database: DatabaseSync, name: string): T {
  // One row of one column, whatever SQLite calls the column.
  return Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0] as T;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The folder of this node's state, held by this process alone. */
export interface StateFolder {
  readonly path: string;
  /** The node's uuid, the same at every start on this folder. */
  readonly nodeId: string;
  close(): void;
}

/** Why the folder cannot be used, in one line for the user. */
export class StateFolderError extends Error {}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Makes the folder, with its parents, and takes it for this process.
 * Cost: 1.3 MB for the lock.
 * Errors: StateFolderError when it cannot be written or another process has it.
 * @param nodeId the id to keep for the node; null for the one that is there, or a new one
 */
export function openStateFolder(path: string, nodeId: string | null): StateFolder {
  try {
    makeFolder(path);
    // It may have been there: what lies in it (routes, later keys) is nobody else's business.
    chmodSync(path, 0o700);
  } catch (cause) {
    throw new StateFolderError(`cannot use the state folder ${path}: ${(cause as Error).message}`, { cause });
  }
  const lock = lockFolder(path);
  try {
    const id = keepNodeId(join(path, "node-id"), nodeId);
    writeFileSync(join(path, "owner.pid"), `${process.pid}\n`);
    return {
      path,
      nodeId: id,
      close() {
        rmSync(join(path, "owner.pid"), { force: true });
        lock.close();
      },
    };
  } catch (cause) {
    lock.close();
    throw new StateFolderError(`cannot write into the state folder ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** By steps of its own: Node's recursive one never ends where a parent takes no folders, as in /proc. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(path).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw cause;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

/** An exclusive transaction on a database file: Node has no file locks of its own, and the kernel frees this one. */
function lockFolder(path: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(join(path, "lock.sqlite"));
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (cause) {
    database?.close();
    // SQLITE_BUSY, whatever its extension.
    const isTaken = (((cause as { errcode?: number }).errcode ?? 0) & 0xff) === 5;
    const problem = isTaken
      ? `the state folder ${path} is in use by another data plane${ownerOf(path)}`
      : `cannot lock the state folder ${path}: ${(cause as Error).message}`;
    throw new StateFolderError(problem, { cause });
  }
}

/** For the message only; what holds the folder is the lock. */
function ownerOf(path: string): string {
  try {
    const pid = readFileSync(join(path, "owner.pid"), "utf8").trim();
    return /^[0-9]+$/.test(pid) ? ` (pid ${pid})` : "";
  } catch {
    return "";
  }
}

function keepNodeId(file: string, wanted: string | null): string {
  const kept = readNodeId(file);
  const id = wanted ?? kept ?? randomUUID();
  if (id === kept) return id;
  // Renamed into place: a half-written id would make another node of this one.
  writeFileSync(`${file}.new`, `${id}\n`);
  renameSync(`${file}.new`, file);
  return id;
}

function readNodeId(file: string): string | null {
  try {
    const id = readFileSync(file, "utf8").trim();
    return UUID.test(id) ? id : null;
  } catch {
    return null;
  }
}

import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { ReceivedSnapshot } from "./apply-snapshot.ts";
import type { HeldContent } from "./held-content.ts";
import { decodeSnapshotBytes, encodeSnapshotBytes } from "./snapshot-bytes.ts";

export interface SnapshotFileOptions {
  /** Created with mode 0700 where it is missing; nothing else should lie in it. */
  readonly folder: string;
  /** A file larger than this is not read; default 1 GiB. */
  readonly fileMaxBytes?: number;
}

/** The last good snapshot on disk, in two generations. */
export interface SnapshotFile {
  /** The newest generation whose every byte is verified, and why newer ones were passed over. Never rejects. */
  load(): Promise<LoadedSnapshot>;
  /**
   * Keeps a snapshot, and the one before as the previous generation. One save runs at a time; of those that wait,
   * only the newest is written. Resolves when this one, or a newer one in its place, is durable. Never rejects.
   */
  save(snapshot: ReceivedSnapshot): Promise<SaveOutcome>;
  /** The newest generation turned out to be harmful: a restart is to begin with the one before. Never rejects. */
  giveUp(publication: number): Promise<SaveOutcome>;
}

export interface LoadedSnapshot {
  /** null when no generation is usable. */
  readonly snapshot: ReceivedSnapshot | null;
  /** Of the snapshot. */
  readonly content: HeldContent | null;
  /** Generations that are there but were not used. */
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}

export type SaveOutcome = { readonly ok: true } | { readonly ok: false; readonly problem: string };

const CURRENT = "snapshot.current";
const PREVIOUS = "snapshot.previous";
const TEMPORARY = "snapshot.writing";

const FILE_MAX_BYTES = 1024 * 1024 * 1024;

/** Opens the place where a node keeps its last good snapshot; touches nothing before `load` or `save`. */
export function openSnapshotFile({ folder, fileMaxBytes = FILE_MAX_BYTES }: SnapshotFileOptions): SnapshotFile {
  let writing: Promise<SaveOutcome> | null = null;
  let waiting: { snapshot: ReceivedSnapshot; outcome: Promise<SaveOutcome> } | null = null;

  function start(snapshot: ReceivedSnapshot): Promise<SaveOutcome> {
    const outcome = replaceCurrent(folder, snapshot).finally(() => {
      if (writing === outcome) writing = null;
    });
    writing = outcome;
    return outcome;
  }

  return {
    load: () => loadNewest(folder, fileMaxBytes),
    save(snapshot) {
      if (waiting !== null) {
        waiting.snapshot = snapshot;
        return waiting.outcome;
      }
      if (writing === null) return start(snapshot);
      const turn = writing.then(() => {
        const newest = waiting?.snapshot ?? snapshot;
        waiting = null;
        return start(newest);
      });
      waiting = { snapshot, outcome: turn };
      return turn;
    },
    giveUp(publication) {
      const outcome = Promise.resolve(waiting?.outcome ?? writing)
        .then(() => restorePrevious(folder, publication, fileMaxBytes))
        .finally(() => {
          if (writing === outcome) writing = null;
        });
      writing = outcome;
      return outcome;
    },
  };
}

async function loadNewest(folder: string, fileMaxBytes: number): Promise<LoadedSnapshot> {
  const skipped: { file: string; reason: string }[] = [];
  for (const name of [CURRENT, PREVIOUS]) {
    const file = path.join(folder, name);
    try {
      const { size } = await stat(file);
      if (size > fileMaxBytes) {
        skipped.push({ file, reason: `it has ${size} bytes, more than the limit of ${fileMaxBytes}` });
        continue;
      }
      const decoded = decodeSnapshotBytes(await readFile(file));
      if (decoded.ok) return { snapshot: decoded.snapshot, content: decoded.content, skipped };
      skipped.push({ file, reason: decoded.problem });
    } catch (error) {
      // Missing is how a node begins, and how a save that was cut between its two renames leaves it.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") skipped.push({ file, reason: messageOf(error) });
    }
  }
  return { snapshot: null, content: null, skipped };
}

/** Writes beside, makes it durable, then renames: at any moment one whole generation is in its place. */
async function replaceCurrent(folder: string, snapshot: ReceivedSnapshot): Promise<SaveOutcome> {
  const [current, previous, temporary] = [CURRENT, PREVIOUS, TEMPORARY].map((name) => path.join(folder, name));
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // A folder that was there may be open to others; what the snapshot holds (later: secrets) is not for them.
    await chmod(folder, 0o700);
    // A leftover of a crash may have another mode or be somebody's link: only a file of our making is written.
    await rm(temporary!, { force: true });
    await writeDurably(temporary!, encodeSnapshotBytes(snapshot));
    await rename(current!, previous!).catch(ignoreMissing);
    await rename(temporary!, current!);
    await syncFolder(folder);
    return { ok: true };
  } catch (error) {
    return { ok: false, problem: messageOf(error) };
  }
}

async function restorePrevious(folder: string, publication: number, fileMaxBytes: number): Promise<SaveOutcome> {
  const newest = (await loadNewest(folder, fileMaxBytes)).snapshot;
  // It may never have been saved, or a newer one meanwhile.
  if (newest?.publication !== publication) return { ok: true };
  try {
    await rename(path.join(folder, PREVIOUS), path.join(folder, CURRENT));
    await syncFolder(folder);
    return { ok: true };
  } catch (error) {
    return { ok: false, problem: messageOf(error) };
  }
}

async function writeDurably(file: string, parts: Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    for (const part of parts) await handle.writeFile(part);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the renames themselves durable. */
async function syncFolder(folder: string): Promise<void> {
  // Windows has no way to sync a folder, and needs none: its file system journals renames.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

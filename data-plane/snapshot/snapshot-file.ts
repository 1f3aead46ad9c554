import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { isSameHash } from "../../proto/state-hash.ts";
import type { ReceivedSnapshot } from "./apply-snapshot.ts";
import type { HeldContent } from "./held-content.ts";
import { decodeSnapshotBytes, encodeSnapshotBytes } from "./snapshot-bytes.ts";

export interface SnapshotFileOptions {
  /** Created with mode 0700 where it is missing; nothing else should lie in it. */
  readonly folder: string;
  /** A file larger than this is not read; default 1 GiB. */
  readonly fileMaxBytes?: number;
  /** How long nothing is written after a write that took so long. Default: ten times as long, at most a second. */
  readonly restMs?: (writeMs: number) => number;
}

/** The last good snapshot on disk, in two generations. */
export interface SnapshotFile {
  /** The newest generation whose every byte is verified, and why newer ones were passed over. Never rejects. */
  load(): Promise<LoadedSnapshot>;
  /** The same of the previous generation alone, and nothing where that has the content of the snapshot. Never rejects. */
  loadBefore(snapshot: Pick<ReceivedSnapshot, "stateHash">): Promise<LoadedSnapshot>;
  /**
   * Keeps a snapshot, and the one before as the previous generation. One save runs at a time, and some time lies between
   * two of them, so that writing a large state does not become most of what a node does while it is changed again and
   * again; of those that wait, only the newest is written: after a crash a node may begin with one that is a second old.
   * Resolves when this one, or a newer one in its place, is durable. Never rejects.
   */
  save(snapshot: ReceivedSnapshot): Promise<SaveOutcome>;
  /** What waits is written without a rest; resolves when it is durable. Never rejects. */
  flush(): Promise<SaveOutcome>;
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

const REST_FACTOR = 10;
const REST_MAX_MS = 1_000;
const restOf = (writeMs: number) => Math.min(REST_FACTOR * writeMs, REST_MAX_MS);

/** Opens the place where a node keeps its last good snapshot; touches nothing before `load` or `save`. */
export function openSnapshotFile(options: SnapshotFileOptions): SnapshotFile {
  const { folder, fileMaxBytes = FILE_MAX_BYTES, restMs = restOf } = options;
  let writing: Promise<SaveOutcome> | null = null;
  let waiting: { snapshot: ReceivedSnapshot; outcome: Promise<SaveOutcome> } | null = null;
  let restsUntilMs = 0;
  let isHurried = false;
  let endRest = () => {};

  function start(snapshot: ReceivedSnapshot): Promise<SaveOutcome> {
    const beganAtMs = performance.now();
    const outcome = replaceCurrent(folder, snapshot).finally(() => {
      restsUntilMs = performance.now() + restMs(performance.now() - beganAtMs);
      if (writing === outcome) writing = null;
    });
    writing = outcome;
    return outcome;
  }

  function rest(): Promise<void> {
    const leftMs = restsUntilMs - performance.now();
    if (isHurried || leftMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(leftMs, REST_MAX_MS)).unref();
      endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async function flush(): Promise<SaveOutcome> {
    isHurried = true;
    endRest();
    const outcome = (await (waiting?.outcome ?? writing)) ?? { ok: true };
    isHurried = false;
    return outcome;
  }

  return {
    load: () => loadNewest(folder, fileMaxBytes),
    async loadBefore({ stateHash }) {
      // What is being written now makes another one the previous generation.
      await flush();
      const loaded = await loadNewest(folder, fileMaxBytes, [PREVIOUS]);
      const isSame = loaded.snapshot !== null && isSameHash(loaded.snapshot.stateHash, stateHash);
      return isSame ? { snapshot: null, content: null, skipped: [] } : loaded;
    },
    save(snapshot) {
      if (waiting !== null) {
        waiting.snapshot = snapshot;
        return waiting.outcome;
      }
      if (writing === null && performance.now() >= restsUntilMs) return start(snapshot);
      const turn = Promise.resolve(writing)
        .then(rest)
        .then(() => {
          const newest = waiting?.snapshot ?? snapshot;
          waiting = null;
          return start(newest);
        });
      waiting = { snapshot, outcome: turn };
      return turn;
    },
    flush,
    giveUp(publication) {
      const outcome = flush()
        .then(() => restorePrevious(folder, publication, fileMaxBytes))
        .finally(() => {
          if (writing === outcome) writing = null;
        });
      writing = outcome;
      return outcome;
    },
  };
}

async function loadNewest(
  folder: string,
  fileMaxBytes: number,
  generations: readonly string[] = [CURRENT, PREVIOUS],
): Promise<LoadedSnapshot> {
  const skipped: { file: string; reason: string }[] = [];
  for (const name of generations) {
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

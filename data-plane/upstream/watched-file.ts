import { open } from "node:fs/promises";
import type { Timers } from "./timers.ts";

export interface WatchedFileOptions {
  readonly path: string;
  readonly timers: Timers;
  /** Time between looks at the file's modification time. */
  readonly checkIntervalMs: number;
  /** A larger file is treated as unreadable. */
  readonly maxBytes: number;
  /** Called with the file's text when it was first read, and after each change. */
  readonly onText: (text: string) => void;
  /** Called when the file can no longer be read. */
  readonly onUnreadable: (problem: string) => void;
}

export interface WatchedFile {
  /** Why the file could not be read at the start; null when it was read. */
  readonly startProblem: string | null;
  close(): void;
}

/** Reads a file now and again, in the background, whenever it has changed. */
export async function watchFile(options: WatchedFileOptions): Promise<WatchedFile> {
  const { timers } = options;
  let seen = "never read";
  let isClosed = false;
  let isReadable = true;
  let cancel = () => {};

  async function readWhenChanged(): Promise<void> {
    const read = await readFileUnless(options.path, seen, options.maxBytes);
    if (read === null || isClosed) return;
    seen = read.version;
    options.onText(read.text);
  }

  async function check(): Promise<void> {
    try {
      await readWhenChanged();
      isReadable = true;
    } catch (problem) {
      // Said once, not at every look. The file is read whole as soon as it is back.
      if (isReadable && !isClosed) options.onUnreadable((problem as Error).message);
      isReadable = false;
      seen = "unreadable";
    }
    if (!isClosed) cancel = timers.after(options.checkIntervalMs, check);
  }

  let startProblem: string | null = null;
  try {
    await readWhenChanged();
  } catch (problem) {
    startProblem = (problem as Error).message;
    isReadable = false;
  }
  cancel = timers.after(options.checkIntervalMs, check);
  return {
    startProblem,
    close() {
      isClosed = true;
      cancel();
    },
  };
}

/** The file's text and version, or null when its version is still `knownVersion`. */
async function readFileUnless(path: string, knownVersion: string, maxBytes: number) {
  const file = await open(path, "r");
  try {
    const stats = await file.stat();
    // The inode too: an editor, or a mount, replaces the file and may keep the time.
    const version = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    if (version === knownVersion) return null;
    if (stats.size > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`);
    return { version, text: await file.readFile("utf8") };
  } finally {
    await file.close();
  }
}

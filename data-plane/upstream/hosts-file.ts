import { open } from "node:fs/promises";
import { isIP } from "node:net";
import type { Timers } from "./timers.ts";

/** Names with the addresses that a hosts file gives them. */
export interface HostsTable {
  /** Addresses of a lower-case name: the IPv4 ones, or where there are none the IPv6 ones; null for a name not listed. */
  addressesOf(name: string): readonly string[] | null;
}

export interface HostsFileOptions {
  readonly path: string;
  readonly timers: Timers;
  /** Time between looks at the file's modification time. */
  readonly checkIntervalMs: number;
  /** A larger file is treated as unreadable. */
  readonly maxBytes: number;
  /** Called after the file was read again because it had changed. */
  readonly onChange: () => void;
  /** Called when the file can no longer be read; what was read last stays in force. */
  readonly onUnreadable: (problem: string) => void;
}

export interface HostsFile extends HostsTable {
  /** Why the file could not be read at the start, when it was treated as empty; null when it was read. */
  readonly startProblem: string | null;
  close(): void;
}

/** The names of a hosts file. Lines that make no sense are skipped, as every resolver does. */
export function parseHostsFile(text: string): HostsTable {
  const byName = new Map<string, { v4: string[]; v6: string[] }>();
  for (const line of text.split("\n")) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const family = isIP(address ?? "");
    if (address === undefined || family === 0) continue;
    for (const name of names.map(canonicalName)) {
      const entry = byName.get(name) ?? { v4: [], v6: [] };
      byName.set(name, entry);
      const list = family === 4 ? entry.v4 : entry.v6;
      if (!list.includes(address)) list.push(address);
    }
  }
  return {
    addressesOf(name) {
      const entry = byName.get(name);
      if (entry === undefined) return null;
      return entry.v4.length > 0 ? entry.v4 : entry.v6;
    },
  };
}

/** A hostname as it is compared: lower-case, without the dot of the root. */
export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Reads a hosts file and reads it again, in the background, whenever it changes. */
export async function openHostsFile(options: HostsFileOptions): Promise<HostsFile> {
  const { timers } = options;
  let table = parseHostsFile("");
  let seen = "never read";
  let isClosed = false;
  let cancel = () => {};

  /** Whether there was something new in it. */
  async function readWhenChanged(): Promise<boolean> {
    const read = await readFileUnless(options.path, seen, options.maxBytes);
    if (read === null) return false;
    seen = read.version;
    table = parseHostsFile(read.text);
    return true;
  }

  let isReadable = true;
  async function check(): Promise<void> {
    try {
      if ((await readWhenChanged()) && !isClosed) options.onChange();
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
    addressesOf: (name) => table.addressesOf(name),
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

import { isIP } from "node:net";
import { type WatchedFileOptions, watchFile } from "./watched-file.ts";

/** All addresses of a name, by family. */
export interface NameAddresses {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

/** Names with the addresses that a hosts file gives them. */
export interface HostsTable {
  /** Addresses of a lower-case name, at least one; null for a name not listed. */
  addressesOf(name: string): NameAddresses | null;
}

export interface HostsFileOptions extends Omit<WatchedFileOptions, "onText"> {
  /** Called after the file was read again because it had changed. */
  readonly onChange: () => void;
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
  return { addressesOf: (name) => byName.get(name) ?? null };
}

/** A hostname as it is compared: lower-case, without the dot of the root. */
export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Reads a hosts file and reads it again, in the background, whenever it changes. */
export async function openHostsFile({ onChange, ...options }: HostsFileOptions): Promise<HostsFile> {
  let table = parseHostsFile("");
  let isOpen = false;
  const file = await watchFile({
    ...options,
    onText(text) {
      table = parseHostsFile(text);
      if (isOpen) onChange();
    },
  });
  isOpen = true;
  return {
    startProblem: file.startProblem,
    addressesOf: (name) => table.addressesOf(name),
    close: () => file.close(),
  };
}

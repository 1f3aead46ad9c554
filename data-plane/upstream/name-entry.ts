import type { NameAddresses } from "./hosts-file.ts";
import type { LookupKind, ServiceRecord } from "./lookup-name.ts";
import type { AddressFamily } from "./race-families.ts";
import { weightMax } from "./whole-weights.ts";

/** Where a name's last good answer came from. */
export type NameSource = "A" | "AAAA" | "SRV" | "hosts" | "literal";

/** How a name was resolved, in a word, for whoever asks why a target has the addresses that it has. */
export interface NameDescription {
  /** Null while there was no answer yet, or the last one is too old. */
  readonly source: NameSource | null;
  /** Why the last lookup brought nothing; null when it did not fail. */
  readonly error: string | null;
}

/** A place that a name stands for. */
export interface NamedEndpoint {
  readonly address: string;
  /** What an SRV record says; null where there is none. */
  readonly port: number | null;
  /** The weight of the SRV record, 1..65535; null where there is none. */
  readonly weight: number | null;
  /** The addresses that the SRV record's target has, which share its weight. 1 where there is none. */
  readonly sharedBy: number;
  /** The target of the SRV record; null where there is none. */
  readonly serviceTarget: string | null;
}

/** The last good answer to a name. */
export type NameAnswer =
  | { readonly type: "addresses"; readonly from: "dns" | "hosts"; readonly all: NameAddresses }
  | { readonly type: "services"; readonly records: readonly ServiceRecord[] };

/** A name that is kept current. */
export interface NameEntry {
  readonly key: string;
  readonly name: string;
  readonly kind: LookupKind;
  /** Where a connection may be tried to find the faster family. */
  port: number;
  answer: NameAnswer | null;
  /** In use, in stable order: those of one family. */
  addresses: readonly string[];
  family: AddressFamily | null;
  racedAtMs: number;
  isRacing: boolean;
  /** Connections have failed since the last race. */
  isDoubted: boolean;
  /** Whether a first lookup has ended, one way or the other. */
  isAnswered: boolean;
  isLookingUp: boolean;
  /** In a row. */
  failureCount: number;
  /** When the DNS began to say that the name is not there; null while it does not. */
  vanishedAtMs: number | null;
  /** When lookups began to bring nothing; null while they do not. */
  failingSinceMs: number | null;
  error: string | null;
  lookedUpAtMs: number;
  /** When it is looked up again; null while that depends on something else. */
  dueAtMs: number | null;
  cancelTimer: () => void;
}

export function newNameEntry(key: string, name: string, kind: LookupKind, port: number): NameEntry {
  return {
    ...{ key, name, kind, port, answer: null, addresses: [], family: null, error: null, dueAtMs: null },
    ...{ isRacing: false, isDoubted: false, isAnswered: false, isLookingUp: false, failureCount: 0 },
    ...{ vanishedAtMs: null, failingSinceMs: null },
    ...{ racedAtMs: Number.NEGATIVE_INFINITY, lookedUpAtMs: Number.NEGATIVE_INFINITY, cancelTimer: () => {} },
  };
}

export function sourceOf({ answer, family }: NameEntry): NameSource | null {
  if (answer === null) return null;
  if (answer.type === "services") return "SRV";
  if (answer.from === "hosts") return "hosts";
  return family === 6 ? "AAAA" : "A";
}

/** A name as it stands in the node's page of names. */
export interface NameState {
  readonly name: string;
  readonly source: NameSource | null;
  readonly addresses: readonly string[];
  /** What SRV records say; empty where there are none. */
  readonly services: readonly ServiceRecord[];
  /** Milliseconds until it is looked up again, which is when its time to live ends, or a little before. */
  readonly dueInMs: number | null;
  /** Milliseconds since the DNS was last heard; null before, and for names that it is not asked for. */
  readonly lookedUpMsAgo: number | null;
  readonly error: string | null;
  /** Milliseconds since lookups began to bring nothing; null while they do not. What is used is from before. */
  readonly failingForMs: number | null;
}

export function nameState(entry: NameEntry, nowMs: number): NameState {
  const { name, answer, addresses, error, dueAtMs, lookedUpAtMs, failingSinceMs } = entry;
  return {
    name,
    source: sourceOf(entry),
    addresses,
    services: answer?.type === "services" ? answer.records : [],
    dueInMs: dueAtMs === null ? null : Math.max(Math.round(dueAtMs - nowMs), 0),
    lookedUpMsAgo: lookedUpAtMs === Number.NEGATIVE_INFINITY ? null : Math.round(nowMs - lookedUpAtMs),
    error,
    failingForMs: failingSinceMs === null ? null : Math.round(nowMs - failingSinceMs),
  };
}

/** What an address stands for where no SRV record says more. */
export function plainEndpoint(address: string): NamedEndpoint {
  return { address, port: null, weight: null, sharedBy: 1, serviceTarget: null };
}

/** In stable order; what comes twice becomes one record with the weight of both. */
export function mergeRecords(records: readonly ServiceRecord[]): ServiceRecord[] {
  const byPlace = new Map<string, ServiceRecord>();
  for (const record of records) {
    const place = `${record.target} ${record.port}`;
    const weight = Math.min(record.weight + (byPlace.get(place)?.weight ?? 0), weightMax);
    byPlace.set(place, { ...record, weight });
  }
  return [...byPlace.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
}

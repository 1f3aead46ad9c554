import type { StoredKind } from "../resource/checked.ts";
import type { LoggedChange, ResourceWrite, StoreEpoch, TransactOutcome } from "./store.ts";

/**
 * What the store asks of the thread that holds the database: all plain data, since it crosses threads.
 * The thread answers in the order of the calls.
 */
export interface EngineCalls {
  open: { argument: EngineOptions; result: OpenResult };
  /** The next part of the state, after the given resource; null for the first. */
  loadResources: { argument: ResourcePosition | null; result: readonly LoadedResource[] };
  /** Never fails for what the disk does: that is in the outcomes, one for each transact. */
  commit: { argument: CommitBatch; result: readonly TransactOutcome[] };
  readChanges: { argument: { afterRevision: number; maxCount: number }; result: readonly LoggedChange[] | null };
  prune: { argument: PruneRequest; result: { readonly isDone: boolean } };
  close: { argument: null; result: null };
}

export type EngineCallName = keyof EngineCalls;

export type EngineRequest = {
  [Name in EngineCallName]: {
    readonly call: number;
    readonly name: Name;
    readonly argument: EngineCalls[Name]["argument"];
  };
}[EngineCallName];

export type EngineReply =
  | { readonly call: number; readonly ok: true; readonly result: EngineCalls[EngineCallName]["result"] }
  | { readonly call: number; readonly ok: false; readonly message: string };

export interface EngineOptions {
  /** Absolute path of the database file. */
  readonly path: string;
  /** The file's limit; null for none but the disk's. */
  readonly databaseMaxBytes: number | null;
  /** Becomes the epoch's counter if the file is new. */
  readonly nowUnixMs: number;
}

export type OpenResult =
  | { readonly status: "open"; readonly engine: OpenedEngine }
  | { readonly status: "locked"; readonly ownerPid: number | null }
  | { readonly status: "unusable"; readonly reason: string };

export interface OpenedEngine {
  readonly epoch: StoreEpoch;
  readonly revision: number;
  readonly publication: number;
  readonly durability: Durability;
  /** What did not work and may be left so, such as an owner.pid that cannot be written. */
  readonly warnings: readonly string[];
}

/** What SQLite itself says of how it keeps what is committed. */
export interface Durability {
  /** 2 is FULL: the log is synced at every commit. */
  readonly synchronous: number;
  readonly journalMode: string;
  readonly lockingMode: string;
}

export interface ResourcePosition {
  readonly kind: StoredKind;
  readonly id: string;
}

export interface LoadedResource {
  readonly kind: StoredKind;
  readonly id: string;
  readonly revision: number;
  readonly body: Uint8Array;
  readonly uniqueKeys: readonly string[];
  readonly references: readonly { readonly kind: StoredKind; readonly id: string }[];
}

export interface QueuedTransact {
  readonly writes: readonly ResourceWrite[];
  readonly actor: string;
}

export interface CommitBatch {
  readonly transacts: readonly QueuedTransact[];
  readonly atUnixMs: number;
}

export interface PruneRequest {
  /** How many of the newest changes are kept, at least 1. */
  readonly maxCount: number;
  /** Changes from before this instant go. */
  readonly keepSinceUnixMs: number;
  /** Changes after this revision are kept, whatever the other limits say; null: none for that. */
  readonly keepAfterRevision: number | null;
}

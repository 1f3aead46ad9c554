import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage } from "./resource-image.ts";

/** One change of one resource, as plain data: no closure crosses a thread. */
export interface ResourceWrite {
  readonly kind: StoredKind;
  readonly id: string;
  readonly operation: "create" | "update" | "delete";
  /** The encoded config.v1 message without its etag; empty for a delete. */
  readonly body: Uint8Array;
  /** Revision that the stored resource must have; null for "any". */
  readonly expectedRevision: number | null;
  /** Unique within the kind, such as "name:u1" or, for a target, "address:UPSTREAM_ID:host:port". Empty for a delete. */
  readonly uniqueKeys: readonly string[];
  /** Resources that must be there when the transaction ends. Empty for a delete. */
  readonly references: readonly { readonly kind: StoredKind; readonly id: string }[];
  /** Set where a resource that no node gets decides of what nodes get: that is a publication, too. */
  readonly movesNodes?: boolean;
}

export type TransactOutcome =
  | { readonly ok: true; readonly revision: number; readonly publication: number }
  | { readonly ok: false; readonly conflict: StoreConflict };

/** Why a transaction was not committed. `write` is the index of the write at fault. */
export type StoreConflict =
  | { readonly type: "revision"; readonly write: number }
  | { readonly type: "duplicate_id"; readonly write: number }
  | { readonly type: "duplicate_key"; readonly write: number; readonly key: string }
  | { readonly type: "dangling_reference"; readonly write: number; readonly kind: StoredKind; readonly id: string }
  | { readonly type: "still_referenced"; readonly write: number; readonly byKind: StoredKind; readonly byId: string }
  | { readonly type: "unavailable"; readonly message: string };

/** One line of the change log. */
export interface Change {
  readonly revision: number;
  readonly kind: StoredKind;
  readonly id: string;
  readonly operation: "create" | "update" | "delete";
  /** Encoded message before and after; null where there is none. */
  readonly before: Uint8Array | null;
  readonly after: Uint8Array | null;
  readonly atUnixMs: number;
}

/** A change as it stands in history. */
export interface LoggedChange extends Change {
  readonly publication: number;
}

/** A committed transaction; delivered in revision order, without gaps. */
export interface Commit {
  readonly revision: number;
  readonly publication: number;
  readonly changes: readonly Change[];
}

/** One incarnation of a store: nodes take only higher counters (design of the sync protocol). */
export interface StoreEpoch {
  /** max(previous + 1, unix ms) at creation or restore. */
  readonly counter: number;
  /** 16 random bytes. */
  readonly id: Uint8Array;
}

/** Durable state with one revision counter, and the same state in memory for readers. */
export interface Store {
  readonly epoch: StoreEpoch;
  /** The committed state; updated before `transact` resolves and before listeners of `onCommit` are called. */
  readonly image: ResourceImage;
  /**
   * Commits all writes as one revision, or none of them. Resolves only after the commit is durable.
   * Never rejects for a reason that a client could cause.
   */
  transact(writes: readonly ResourceWrite[], actor: string): Promise<TransactOutcome>;
  /** Changes after a revision, oldest first; null when they are no longer kept. */
  readChanges(afterRevision: number, maxCount: number): Promise<readonly LoggedChange[] | null>;
  /** Calls the listener for each commit; returns the way to stop that. */
  onCommit(listener: (commit: Commit) => void): () => void;
  close(): Promise<void>;
}

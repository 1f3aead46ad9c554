import type { StoredKind } from "../resource/checked.ts";

/** The tables as queries see them; `migrations.ts` makes them. */
export interface StoreSchema {
  resources: {
    kind: StoredKind;
    id: string;
    /** Revision of the last write. */
    revision: number;
    body: Uint8Array;
  };
  /** Names and addresses that are unique within a kind. */
  resource_keys: { kind: StoredKind; key: string; id: string };
  resource_references: { kind: StoredKind; id: string; to_kind: StoredKind; to_id: string };
  /** One row per write of each commit, oldest first by (revision, ordinal). */
  changes: {
    revision: number;
    publication: number;
    /** Place of the write in its transaction, from 0. */
    ordinal: number;
    kind: StoredKind;
    id: string;
    operation: "create" | "update" | "delete";
    before: Uint8Array | null;
    after: Uint8Array | null;
    actor: string;
    at_unix_ms: number;
  };
  /** A single row. */
  meta: {
    singleton: 1;
    epoch_counter: number;
    epoch_id: Uint8Array;
    revision: number;
    publication: number;
    /** Changes up to this revision are no longer kept. */
    pruned_revision: number;
  };
}

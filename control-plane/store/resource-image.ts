import type { StoredKind } from "../resource/checked.ts";
import type { MessageOf } from "../resource/draft.ts";

/** A committed resource. Its message is never changed after it was stored here. */
export interface StoredResource<K extends StoredKind = StoredKind> {
  readonly kind: K;
  readonly id: string;
  /** Revision of its last write; the etag is made from it. */
  readonly revision: number;
  /** The bytes that the store holds and that nodes get. */
  readonly body: Uint8Array;
  /** The same, decoded. */
  readonly message: MessageOf[K];
}

/** The committed state in memory. Reads never wait for the database. */
export interface ResourceImage {
  /** Revision and publication that this state is at. */
  readonly revision: number;
  readonly publication: number;
  get<K extends StoredKind>(kind: K, id: string): StoredResource<K> | undefined;
  /** By unique key, as in ResourceWrite.uniqueKeys. */
  getByKey<K extends StoredKind>(kind: K, uniqueKey: string): StoredResource<K> | undefined;
  /** Every resource of a kind, in no particular order. */
  all<K extends StoredKind>(kind: K): Iterable<StoredResource<K>>;
  count(kind: StoredKind): number;
  /** Of the bodies of all resources together. */
  readonly bodyBytes: number;
  /** Resources of a kind that refer to the given one (targets of an upstream, routes of a service). */
  referrers<K extends StoredKind>(kind: K, toKind: StoredKind, toId: string): Iterable<StoredResource<K>>;
}

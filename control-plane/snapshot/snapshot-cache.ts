import { isSameHash } from "../../proto/state-hash.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { DanglingReference } from "./build-snapshot.ts";
import type { PublishedSource } from "./channel.ts";
import {
  CHUNK_MAX_BYTES,
  type DeltaContent,
  type EncodedPush,
  encodeDelta,
  encodeSnapshot,
  entityBytes,
} from "./encode-snapshot.ts";
import { type ChangedResource, PublicationRing, type PublishedState, type RingLimits } from "./publication-ring.ts";
import { findNewDanglingReferences, PublishedContent } from "./published-content.ts";

/** The newest publication, or why it must not be sent. */
export type NewestPublication =
  | { readonly ok: true; readonly published: PublishedState }
  | { readonly ok: false; readonly danglingReferences: readonly DanglingReference[] };

/** A delta that is larger than this share of the whole is not worth a second way to the same state. */
const DELTA_MAX_SHARE = 0.3;

/** One message, no larger than a chunk of a whole snapshot. */
const DELTA_MAX_BYTES = CHUNK_MAX_BYTES;

/** Deltas that are kept encoded, each from another base to the newest publication. */
const DELTA_MAX_COUNT = 64;

/** Epoch, numbers and hash of a delta, with their tags and lengths. */
const DELTA_HEAD_BYTES = 160;

/**
 * Turns the state of a store into publications, and those into bytes: each at most once and on demand, a delta once
 * for all nodes that hold the same base. What has not changed since the last publication is neither hashed nor read
 * again.
 */
export class SnapshotCache {
  readonly #store: PublishedSource;
  readonly #ring: PublicationRing;
  readonly #content = new PublishedContent();
  #newest: { readonly imagePublication: number; readonly outcome: NewestPublication } | null = null;
  /** What `#content` is the content of. */
  #published: PublishedState | null = null;
  #whole: EncodedPush | null = null;
  /** By their base; null where the whole is the better way. The one that was used last is last. */
  readonly #deltas = new Map<number, EncodedPush | null>();

  /** @param ringLimits of the past publications that deltas begin from, and whose hash and revision stay known */
  constructor(store: PublishedSource, ringLimits: RingLimits) {
    this.#store = store;
    this.#ring = new PublicationRing(ringLimits);
  }

  /** Publishes the store's state of this moment; one with a dangling reference leaves all as it was. */
  newest(): NewestPublication {
    const { publication, revision } = this.#store.image;
    if (this.#newest?.imagePublication === publication) return this.#newest.outcome;
    const outcome = this.#publish(publication, revision);
    this.#newest = { imagePublication: publication, outcome };
    return outcome;
  }

  /** What is known of an earlier publication; undefined when it was never published here or is too long ago. */
  recent(publication: number): PublishedState | undefined {
    return this.#ring.get(publication);
  }

  /** The last publication as a whole. Errors: throws before there is one. */
  whole(): EncodedPush {
    if (this.#whole !== null) return this.#whole;
    if (this.#published === null) throw new Error("nothing was published yet");
    const { epoch } = this.#store;
    this.#whole = encodeSnapshot({ epoch, ...this.#published, entities: this.#content.inOrder() });
    return this.#whole;
  }

  /** From what a node holds to the last publication; null when that is not known, or the whole is the better way. */
  deltaFrom(held: Pick<PublishedState, "publication" | "stateHash">): EncodedPush | null {
    const base = this.#ring.get(held.publication);
    if (base === undefined || !isSameHash(base.stateHash, held.stateHash)) return null;
    const known = this.#deltas.get(base.publication);
    const delta = known === undefined ? this.#encodeDelta(base.publication) : known;
    this.#deltas.delete(base.publication);
    this.#deltas.set(base.publication, delta);
    if (this.#deltas.size > DELTA_MAX_COUNT) this.#deltas.delete(this.#deltas.keys().next().value!);
    return delta;
  }

  #publish(publication: number, revision: number): NewestPublication {
    const changes = this.#content.changesTo(this.#store.image);
    const danglingReferences = findNewDanglingReferences(changes, this.#store.image);
    if (danglingReferences.length > 0) return { ok: false, danglingReferences };
    this.#content.apply(changes);
    const published = { publication, revision, stateHash: this.#content.stateHash() };
    this.#published = published;
    this.#whole = null;
    this.#deltas.clear();
    this.#ring.add(published, changes);
    return { ok: true, published };
  }

  #encodeDelta(basePublication: number): EncodedPush | null {
    const changed = this.#ring.changesSince(basePublication);
    const delta = changed === null ? null : this.#deltaOf(basePublication, changed.values());
    if (delta === null) return null;
    const encoded = encodeDelta(delta);
    return encoded.messages[0]!.length <= this.#deltaMaxBytes() ? encoded : null;
  }

  /** null as soon as it is certain to be too large. */
  #deltaOf(basePublication: number, changed: Iterable<ChangedResource>): DeltaContent | null {
    const upserts: StoredResource[] = [];
    const deletes: ChangedResource[] = [];
    let bytes = DELTA_HEAD_BYTES;
    for (const change of changed) {
      const now = this.#content.get(change.kind, change.id);
      if (now !== undefined) upserts.push(now);
      else if (change.wasThere) deletes.push(change);
      // What came and went between the two is in neither of them.
      bytes += now === undefined ? 0 : entityBytes(now);
      if (bytes > this.#deltaMaxBytes()) return null;
    }
    return { epoch: this.#store.epoch, basePublication, ...this.#published!, upserts, deletes };
  }

  #deltaMaxBytes(): number {
    return Math.min(DELTA_MAX_BYTES, DELTA_MAX_SHARE * this.#content.encodedBytes);
  }
}

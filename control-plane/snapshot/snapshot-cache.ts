import { isSameHash } from "../../proto/state-hash.ts";
import { untilDone } from "../steps/until-done.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { DanglingReference } from "./build-snapshot.ts";
import type { PublishedSource } from "./channel.ts";
import { type DeltaContent, type EncodedPush, encodeDelta, encodeSnapshot, entityBytes } from "./encode-snapshot.ts";
import {
  type ChangedResource,
  type NewestState,
  PublicationRing,
  type PublishedState,
  type RingLimits,
} from "./publication-ring.ts";
import { type ContentChange, findNewDanglingReferences, PublishedContent } from "./published-content.ts";

/** The newest publication, or why it must not be sent. */
export type NewestPublication =
  | { readonly ok: true; readonly published: NewestState }
  | { readonly ok: false; readonly danglingReferences: readonly DanglingReference[] };

/** A delta that is larger than this share of the whole is not worth a second way to the same state. */
const DELTA_MAX_SHARE = 0.3;

/** One message. */
const DELTA_MAX_BYTES = 256 * 1024;

/**
 * How many changes may yet be made in the turn in which all is published, some 3 us each. What is more is made before, to
 * a fork of the content that takes 5 ms and 1 MB for 20,000 resources.
 */
export interface LateChanges {
  leftCount: number;
}

/** For all that is published in one turn: some 10 ms. */
export const lateChanges = (leftCount = 4_000): LateChanges => ({ leftCount });

/** Deltas that are kept encoded, each from another base to the newest publication. */
const DELTA_MAX_COUNT = 64;

interface CachedDelta {
  /** Of the base: another store may have given its number to another content. */
  readonly baseHash: Uint8Array;
  /** null where the whole is the better way. */
  readonly push: EncodedPush | null;
}

/** Epoch, numbers and hash of a delta, with their tags and lengths. */
const DELTA_HEAD_BYTES = 160;

/**
 * Turns the state of a store into publications, and those into bytes: each at most once and on demand, a delta once
 * for all nodes that hold the same base. What has not changed since the last publication is neither hashed nor read
 * again.
 */
export class SnapshotCache {
  readonly #store: PublishedSource;
  #ring: PublicationRing;
  #content = new PublishedContent();
  #newest: { readonly imagePublication: number; readonly outcome: NewestPublication } | null = null;
  /** What `#content` is the content of. */
  #published: PublishedState | null = null;
  /** Whether `#content` is as the source was at `#published`, so that later changes are all that is to be looked at. */
  #isOfSource = true;
  #whole: EncodedPush | null = null;
  /** By the number of their base; the oldest first. */
  readonly #deltas = new Map<number, CachedDelta>();

  /** @param ringLimits of the past publications that deltas begin from, and whose hash and revision stay known */
  constructor(store: PublishedSource, ringLimits: RingLimits) {
    this.#store = store;
    this.#ring = new PublicationRing(ringLimits);
  }

  /**
   * Takes over the content of another cache, to begin with.
   * @param isSame whether what that one has published was meant for the same nodes, so that deltas may begin from it
   */
  beginWith(other: SnapshotCache, isSame: boolean): void {
    this.#content = other.#content.fork();
    if (isSame) this.#ring = other.#ring.fork();
    if (isSame) this.#published = other.#published;
    this.#isOfSource = false;
  }

  /** Publishes the store's state of this moment; one with a dangling reference leaves all as it was. */
  newest(): NewestPublication {
    return untilDone(this.prepareSteps())();
  }

  /**
   * The same in steps, between which the store's state must not change, and which change nothing: what they come to is to
   * be called to publish it, before others are begun.
   * @param late taken from; default: one of its own
   */
  *prepareSteps(late: LateChanges = lateChanges()): Generator<void, () => NewestPublication> {
    const { publication, revision } = this.#store.image;
    if (this.#newest?.imagePublication === publication) {
      const { outcome } = this.#newest;
      return () => outcome;
    }
    const publish = yield* this.#prepare({ publication, revision }, late);
    return () => {
      const outcome = publish();
      this.#newest = { imagePublication: publication, outcome };
      return outcome;
    };
  }

  /** What is known of an earlier publication; undefined when it was never published here or is too long ago. */
  recent(publication: number): PublishedState | undefined {
    return this.#ring.get(publication);
  }

  /** What changed after an earlier publication, by `kind/id`; null when that one is not known. */
  changesSince(publication: number): ReadonlyMap<string, ChangedResource> | null {
    const published = this.#ring.get(publication);
    return published === undefined ? null : this.#ring.changesSince(published);
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
    const { publication, stateHash } = held;
    const cached = this.#deltas.get(publication);
    if (cached !== undefined && isSameHash(cached.baseHash, stateHash)) return cached.push;
    const changed = this.#ring.changesSince(held);
    if (changed === null) return null;
    const push = this.#encodeDelta(publication, changed);
    this.#deltas.set(publication, { baseHash: stateHash, push });
    if (this.#deltas.size > DELTA_MAX_COUNT) this.#deltas.delete(this.#deltas.keys().next().value!);
    return push;
  }

  *#prepare(
    numbers: Pick<PublishedState, "publication" | "revision">,
    late: LateChanges,
  ): Generator<void, () => NewestPublication> {
    const { image } = this.#store;
    const since = this.#isOfSource ? (this.#published?.publication ?? null) : null;
    const changes = yield* this.#content.changesTo(image, since);
    const danglingReferences = yield* findNewDanglingReferences(changes, image);
    if (danglingReferences.length > 0) return () => ({ ok: false, danglingReferences });
    const stateHash = yield* this.#content.hashAfter(changes);
    if (changes.length <= late.leftCount) {
      late.leftCount -= changes.length;
      return () => this.#publish(numbers, changes, () => untilDone(this.#content.applySteps(changes, stateHash)));
    }
    const changed = this.#content.fork();
    yield;
    yield* changed.applySteps(changes, stateHash);
    return () =>
      this.#publish(numbers, changes, () => {
        this.#content = changed;
      });
  }

  #publish(
    numbers: Pick<PublishedState, "publication" | "revision">,
    changes: readonly ContentChange[],
    makeChanges: () => void,
  ): NewestPublication {
    makeChanges();
    const isUnchanged = changes.length === 0 && this.#published !== null;
    const stateHash = isUnchanged ? this.#published!.stateHash : this.#content.stateHash();
    const published = { ...numbers, stateHash };
    this.#published = published;
    this.#isOfSource = true;
    this.#whole = null;
    this.#deltas.clear();
    return { ok: true, published: this.#ring.add(published, changes) };
  }

  #encodeDelta(basePublication: number, changed: ReadonlyMap<string, ChangedResource>): EncodedPush | null {
    const delta = this.#deltaOf(basePublication, changed.values());
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
      else if (change.before !== null) deletes.push(change);
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

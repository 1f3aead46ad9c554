import { StateHash } from "../../proto/state-hash.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import { buildSnapshot, type DanglingReference } from "./build-snapshot.ts";
import { type EncodedSnapshot, encodeSnapshot } from "./encode-snapshot.ts";

/** The newest publication as bytes, or why it must not be sent. */
export type CachedSnapshot =
  | { readonly ok: true; readonly snapshot: EncodedSnapshot }
  | { readonly ok: false; readonly danglingReferences: readonly DanglingReference[] };

/** A publication that was encoded: enough to know it again when a node says that it holds it. */
export interface PublishedState {
  readonly publication: number;
  readonly revision: number;
  readonly stateHash: Uint8Array;
}

/**
 * Encodes each publication of a store at most once, on demand.
 * Only resources that changed since the last publication are hashed again.
 */
export class SnapshotCache {
  readonly #store: Pick<Store, "epoch" | "image">;
  readonly #recentMaxCount: number;
  readonly #stateHash = new StateHash();
  /** What the state hash covers, by kind and id. */
  #hashed = new Map<string, StoredResource>();
  #newest: { readonly publication: number; readonly cached: CachedSnapshot } | null = null;
  /** Oldest first. */
  readonly #recent = new Map<number, PublishedState>();

  /** @param recentMaxCount past publications whose hash and revision stay known */
  constructor(store: Pick<Store, "epoch" | "image">, recentMaxCount: number) {
    this.#store = store;
    this.#recentMaxCount = recentMaxCount;
  }

  /** The store's state of this moment. */
  newest(): CachedSnapshot {
    const image = this.#store.image;
    if (this.#newest?.publication === image.publication) return this.#newest.cached;
    const built = buildSnapshot(image);
    const cached = built.ok ? this.#encode(built.entities) : built;
    this.#newest = { publication: image.publication, cached };
    return cached;
  }

  /** What is known of an earlier publication; undefined when it was never encoded here or is too long ago. */
  recent(publication: number): PublishedState | undefined {
    return this.#recent.get(publication);
  }

  #encode(entities: readonly StoredResource[]): CachedSnapshot {
    const { epoch, image } = this.#store;
    const { publication, revision } = image;
    const stateHash = this.#rehash(entities);
    const snapshot = encodeSnapshot({ epoch, publication, revision, stateHash, entities });
    this.#recent.set(publication, { publication, revision, stateHash });
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= this.#recentMaxCount) break;
      this.#recent.delete(oldest);
    }
    return { ok: true, snapshot };
  }

  /** Compares with what was hashed last instead of trusting every commit to have been heard. */
  #rehash(entities: readonly StoredResource[]): Uint8Array {
    const hashed = new Map<string, StoredResource>();
    for (const entity of entities) {
      const name = `${entity.kind}/${entity.id}`;
      if (this.#hashed.get(name)?.body !== entity.body) this.#stateHash.set(entity);
      this.#hashed.delete(name);
      hashed.set(name, entity);
    }
    for (const { kind, id } of this.#hashed.values()) this.#stateHash.delete(kind, id);
    this.#hashed = hashed;
    return this.#stateHash.digest();
  }
}

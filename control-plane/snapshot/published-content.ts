import { StateHash } from "../../proto/state-hash.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { type DanglingReference, findDanglingReferences, inSnapshotOrder, SNAPSHOT_KINDS } from "./build-snapshot.ts";
import { entityBytes } from "./encode-snapshot.ts";

/** What became of one resource between two publications. */
export interface ContentChange {
  readonly kind: StoredKind;
  readonly id: string;
  readonly before: StoredResource | undefined;
  readonly after: StoredResource | undefined;
}

/**
 * The resources of the last publication, with their state hash. It shares them with the store's image, and is brought
 * up to date by comparing with that, instead of trusting every commit to have been heard.
 *
 * Cost: 1 ms to compare 20,000 resources, 60 us for each that changed.
 */
export class PublishedContent {
  readonly #byKind = new Map<StoredKind, Map<string, StoredResource>>(SNAPSHOT_KINDS.map((kind) => [kind, new Map()]));
  readonly #stateHash = new StateHash();
  #encodedBytes = 0;

  get entityCount(): number {
    return this.#stateHash.size;
  }

  /** What the resources take in a whole snapshot; its own frames come on top. */
  get encodedBytes(): number {
    return this.#encodedBytes;
  }

  /** 32 bytes. */
  stateHash(): Uint8Array {
    return this.#stateHash.digest();
  }

  get(kind: StoredKind, id: string): StoredResource | undefined {
    return this.#byKind.get(kind)?.get(id);
  }

  /** By kind and id. */
  inOrder(): StoredResource[] {
    return inSnapshotOrder((kind) => this.#byKind.get(kind)!.values());
  }

  /** What has to change for this to be the content of the image. */
  changesTo(image: Pick<ResourceImage, "all" | "get">): ContentChange[] {
    const changes: ContentChange[] = [];
    for (const kind of SNAPSHOT_KINDS) {
      const known = this.#byKind.get(kind)!;
      let knownCount = 0;
      for (const after of image.all(kind)) {
        const before = known.get(after.id);
        if (before !== undefined) knownCount++;
        if (before?.body !== after.body) changes.push({ kind, id: after.id, before, after });
      }
      if (knownCount === known.size) continue;
      for (const [id, before] of known) {
        if (image.get(kind, id) === undefined) changes.push({ kind, id, before, after: undefined });
      }
    }
    return changes;
  }

  apply(changes: readonly ContentChange[]): void {
    for (const { kind, id, before, after } of changes) {
      if (before !== undefined) this.#encodedBytes -= entityBytes(before);
      if (after === undefined) {
        this.#byKind.get(kind)!.delete(id);
        this.#stateHash.delete(kind, id);
      } else {
        this.#byKind.get(kind)!.set(id, after);
        this.#stateHash.set(after);
        this.#encodedBytes += entityBytes(after);
      }
    }
  }
}

/** References that the changes leave pointing to nothing, given that there were none before. */
export function findNewDanglingReferences(
  changes: readonly ContentChange[],
  image: Pick<ResourceImage, "all" | "get">,
): DanglingReference[] {
  // Only what is gone can leave others without what they refer to.
  if (changes.some(({ after }) => after === undefined)) return findDanglingReferences(allOf(image), image);
  const changed = changes.flatMap(({ after }) => (after === undefined ? [] : [after]));
  return findDanglingReferences(changed, image);
}

function* allOf(image: Pick<ResourceImage, "all">): Generator<StoredResource> {
  for (const kind of SNAPSHOT_KINDS) yield* image.all(kind);
}

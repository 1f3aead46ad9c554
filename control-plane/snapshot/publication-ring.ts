import type { StoredKind } from "../resource/checked.ts";
import type { ContentChange } from "./published-content.ts";

/** A publication: enough to know it again when a node says that it holds it. */
export interface PublishedState {
  readonly publication: number;
  readonly revision: number;
  /** 32 bytes. */
  readonly stateHash: Uint8Array;
}

/** A resource that is not the same in two publications, or was not in one between them. */
export interface ChangedResource {
  readonly kind: StoredKind;
  readonly id: string;
  /** Whether the earlier of the two publications had it. */
  readonly wasThere: boolean;
}

interface RingEntry {
  readonly published: PublishedState;
  /** From the entry before; of the oldest one they are not kept. */
  changes: readonly ChangedResource[];
}

export interface RingLimits {
  readonly publicationMaxCount: number;
  /** Changes of all publications together; some 150 bytes each. */
  readonly changeMaxCount: number;
}

/**
 * The last publications, each as what it changed of the one before. With the newest content that is all of their
 * content that a delta needs: a resource that changed is sent as it is now. So it costs memory by what was written,
 * and nothing by how large the state is.
 */
export class PublicationRing {
  readonly #limits: RingLimits;
  /** Oldest first. */
  readonly #entries = new Map<number, RingEntry>();
  #changeCount = 0;

  constructor(limits: RingLimits) {
    this.#limits = limits;
  }

  /** Takes the next publication. @param changes of the content of the one that was taken before */
  add(published: PublishedState, changes: readonly ContentChange[]): void {
    const isFirst = this.#entries.size === 0;
    const kept = isFirst ? [] : changes.map(({ kind, id, before }) => ({ kind, id, wasThere: before !== undefined }));
    this.#entries.set(published.publication, { published, changes: kept });
    this.#changeCount += kept.length;
    for (const publication of this.#entries.keys()) {
      const { publicationMaxCount, changeMaxCount } = this.#limits;
      if (this.#entries.size <= publicationMaxCount && this.#changeCount <= changeMaxCount) break;
      if (this.#entries.size === 1) break;
      this.#entries.delete(publication);
      this.#forgetChangesOfOldest();
    }
  }

  /** undefined when it is not among the last ones. */
  get(publication: number): PublishedState | undefined {
    return this.#entries.get(publication)?.published;
  }

  /** What changed after a publication, each resource once; null when the publication is not among the last ones. */
  changesSince(publication: number): ReadonlyMap<string, ChangedResource> | null {
    if (!this.#entries.has(publication)) return null;
    const changed = new Map<string, ChangedResource>();
    for (const { published, changes } of this.#entries.values()) {
      if (published.publication <= publication) continue;
      for (const change of changes) {
        const name = `${change.kind}/${change.id}`;
        if (!changed.has(name)) changed.set(name, change);
      }
    }
    return changed;
  }

  #forgetChangesOfOldest(): void {
    for (const oldest of this.#entries.values()) {
      this.#changeCount -= oldest.changes.length;
      oldest.changes = [];
      return;
    }
  }
}

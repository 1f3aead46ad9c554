import { isSameHash } from "../../proto/state-hash.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { ContentChange } from "./published-content.ts";

/** A publication: enough to know it again when a node says that it holds it. */
export interface PublishedState {
  readonly publication: number;
  readonly revision: number;
  /** 32 bytes. */
  readonly stateHash: Uint8Array;
}

/** What is published now. */
export interface NewestState extends PublishedState {
  /** The publication in which this content came; those between changed nothing. Default: the publication itself. */
  readonly sincePublication?: number;
}

/** A version of a resource, without its message: as such it takes a tenth of the memory. */
export type ResourceVersion = Pick<StoredResource, "revision" | "body">;

/** A resource that is not the same in two publications, or was not in one between them. */
export interface ChangedResource {
  readonly kind: StoredKind;
  readonly id: string;
  /** As the earlier of the two publications had it; null where it did not. */
  readonly before: ResourceVersion | null;
}

/** Publications in a row that have the same content. */
interface RingEntry {
  readonly firstPublication: number;
  lastPublication: number;
  /** Of the last one. */
  revision: number;
  readonly stateHash: Uint8Array;
  /** From the entry before; of the oldest one they are not kept. */
  changes: readonly ChangedResource[];
}

export interface RingLimits {
  /** Of publications in a row with the same content, only the first counts. */
  readonly publicationMaxCount: number;
  /** Changes of all publications together; some 150 bytes each. */
  readonly changeMaxCount: number;
}

/** Of the versions before, all together. Beyond it the oldest publications go. */
const BEFORE_MAX_BYTES = 32 * 1024 * 1024;

/**
 * The last publications, each as what it changed of the one before. With the newest content that is all of their
 * content: a resource that changed is sent as it is now, or held back as it was before. So it costs memory by what was
 * written, and nothing by how large the state is.
 */
export class PublicationRing {
  readonly #limits: RingLimits;
  /** Oldest first. */
  #entries: RingEntry[] = [];
  #changeCount = 0;
  #beforeBytes = 0;

  constructor(limits: RingLimits) {
    this.#limits = limits;
  }

  /** Another one that has the same, and goes on by itself. */
  fork(): PublicationRing {
    const fork = new PublicationRing(this.#limits);
    fork.#entries = this.#entries.map((entry) => ({ ...entry }));
    fork.#changeCount = this.#changeCount;
    fork.#beforeBytes = this.#beforeBytes;
    return fork;
  }

  /** Takes the next publication. @param changes of the content of the one that was taken before; none: it is the same */
  add(published: PublishedState, changes: readonly ContentChange[]): NewestState {
    const newest = this.#entries.at(-1);
    const { publication, revision, stateHash } = published;
    if (newest !== undefined && changes.length === 0) {
      Object.assign(newest, { lastPublication: publication, revision });
      return { ...published, sincePublication: newest.firstPublication };
    }
    const kept = newest === undefined ? [] : changes.map(changedResource);
    this.#entries.push({
      ...{ firstPublication: publication, lastPublication: publication, revision, stateHash },
      changes: kept,
    });
    this.#changeCount += kept.length;
    this.#beforeBytes += beforeBytesOf(kept);
    while (this.#entries.length > 1 && this.#isOverfull()) {
      this.#entries.shift();
      this.#forgetChangesOfOldest();
    }
    return { ...published, sincePublication: publication };
  }

  /** undefined when it is not among the last ones. */
  get(publication: number): PublishedState | undefined {
    const entry = this.#entries[this.#indexOf(publication)];
    return entry === undefined ? undefined : { publication, revision: entry.revision, stateHash: entry.stateHash };
  }

  /**
   * What changed after a publication, each resource once; null when no publication of that content is among the last
   * ones. Its number may be another than here: it is what the content was called elsewhere, or before a restart.
   */
  changesSince({
    publication,
    stateHash,
  }: Omit<PublishedState, "revision">): ReadonlyMap<string, ChangedResource> | null {
    let index = this.#indexOf(publication);
    if (index < 0 || !isSameHash(this.#entries[index]!.stateHash, stateHash))
      index = this.#entries.findLastIndex((entry) => isSameHash(entry.stateHash, stateHash));
    if (index < 0) return null;
    const changed = new Map<string, ChangedResource>();
    for (const { changes } of this.#entries.slice(index + 1)) {
      for (const change of changes) {
        const name = `${change.kind}/${change.id}`;
        if (!changed.has(name)) changed.set(name, change);
      }
    }
    return changed;
  }

  #isOverfull(): boolean {
    const { publicationMaxCount, changeMaxCount } = this.#limits;
    const isWithin = this.#changeCount <= changeMaxCount && this.#beforeBytes <= BEFORE_MAX_BYTES;
    return this.#entries.length > publicationMaxCount || !isWithin;
  }

  /** -1 when it is not among the last ones. */
  #indexOf(publication: number): number {
    let low = 0;
    let high = this.#entries.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const { firstPublication, lastPublication } = this.#entries[middle]!;
      if (publication < firstPublication) high = middle - 1;
      else if (publication > lastPublication) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  #forgetChangesOfOldest(): void {
    const oldest = this.#entries[0]!;
    this.#changeCount -= oldest.changes.length;
    this.#beforeBytes -= beforeBytesOf(oldest.changes);
    oldest.changes = [];
  }
}

function changedResource({ kind, id, before }: ContentChange): ChangedResource {
  return { kind, id, before: before === undefined ? null : { revision: before.revision, body: before.body } };
}

function beforeBytesOf(changes: readonly ChangedResource[]): number {
  return changes.reduce((sum, { before }) => sum + (before?.body.length ?? 0), 0);
}

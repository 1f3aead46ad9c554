import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { PublishedState, RingLimits } from "./publication-ring.ts";
import { SnapshotCache } from "./snapshot-cache.ts";

/** What publications are made of: the store's state, or a view of it that leaves something out or holds it back. */
export type PublishedSource = Pick<Store, "epoch"> & {
  readonly image: Pick<Store["image"], "publication" | "revision" | "all" | "get">;
};

/** The publications for all nodes that are meant to serve the same. */
export class Channel {
  readonly cache: SnapshotCache;
  readonly #source: PublishedSource;
  readonly #log: Log;
  #newest: PublishedState | null = null;

  constructor(source: PublishedSource, ringLimits: RingLimits, log: Log) {
    this.cache = new SnapshotCache(source, ringLimits);
    this.#source = source;
    this.#log = log;
  }

  /**
   * What the nodes are meant to serve, null before there is anything; the source may be ahead of it for as long as
   * changes coalesce.
   */
  get newest(): PublishedState | null {
    return this.#newest;
  }

  /** Makes the source's state of this moment the published one; what cannot be published is logged, and changes nothing. */
  refresh(): void {
    if (this.#newest?.publication === this.#source.image.publication) return;
    try {
      const newest = this.cache.newest();
      if (newest.ok) this.#newest = newest.published;
      else {
        const { danglingReferences } = newest;
        this.#log.error({ danglingReferences }, "a publication is held back: not consistent");
      }
    } catch (error) {
      const { publication } = this.#source.image;
      this.#log.error({ err: error, publication }, "a publication could not be made");
    }
  }
}

import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { NewestState, RingLimits } from "./publication-ring.ts";
import { type LateChanges, type NewestPublication, SnapshotCache } from "./snapshot-cache.ts";

/** The state of a source at this moment. */
export interface PublishedImage extends Pick<ResourceImage, "publication" | "revision" | "all" | "get"> {
  /**
   * What may be other than at a publication, some of it maybe twice; null when that is not known.
   * Default: not known, so that everything is compared.
   */
  changesSince?(publication: number): Iterable<{ readonly kind: StoredKind; readonly id: string }> | null;
  /** Those that refer to a resource by its id, be it there or not; null, as by default, when it takes a look at all. */
  referrersOf?(kind: StoredKind, id: string): Iterable<StoredResource> | null;
}

/** What publications are made of: the store's state, or a view of it that leaves something out or holds it back. */
export type PublishedSource = Pick<Store, "epoch"> & {
  readonly image: PublishedImage;
  /** Whether something is held back, so that a write may have to be held back as well before it can be published. */
  readonly isHolding?: boolean;
};

/** Steps that change nothing that can be read; what they come to is to be called to have it so. */
export type ChannelSteps = Generator<void, () => void>;

/** What a channel begins with. */
export interface Likeness {
  /** Has much of the content already, which is then neither hashed nor kept twice. */
  readonly channel: Channel;
  /** Whether what that one has published was meant for this one's nodes, too. */
  readonly isSame: boolean;
}

/** The publications for all nodes that are meant to serve the same. */
export class Channel {
  readonly cache: SnapshotCache;
  readonly #source: PublishedSource;
  readonly #log: Log;
  #newest: NewestState | null = null;

  constructor(source: PublishedSource, ringLimits: RingLimits, log: Log, like: Likeness | null = null) {
    this.cache = new SnapshotCache(source, ringLimits);
    if (like !== null) this.cache.beginWith(like.channel.cache, like.isSame);
    this.#source = source;
    this.#log = log;
  }

  /**
   * What the nodes are meant to serve, null before there is anything; the source may be ahead of it for as long as
   * changes coalesce.
   */
  get newest(): NewestState | null {
    return this.#newest;
  }

  /**
   * Steps that change nothing; what they come to is to be called to make the source's state of before them the published
   * one. What cannot be published is logged then, and changes nothing. Neither throws.
   * @param late as of SnapshotCache.prepareSteps
   */
  *prepareSteps(late: LateChanges): ChannelSteps {
    const { publication } = this.#source.image;
    if (this.#newest?.publication === publication) return () => {};
    const failed = (error: unknown) => this.#log.error({ err: error, publication }, "a publication could not be made");
    try {
      const publish = yield* this.cache.prepareSteps(late);
      return () => {
        try {
          this.#take(publish());
        } catch (error) {
          failed(error);
        }
      };
    } catch (error) {
      failed(error);
      return () => {};
    }
  }

  #take(newest: NewestPublication): void {
    if (newest.ok) this.#newest = newest.published;
    else {
      const { danglingReferences } = newest;
      if (this.#source.isHolding === true)
        this.#log.info({ danglingReferences }, "a publication waits for what depends on a quarantine");
      else this.#log.error({ danglingReferences }, "a publication is held back: not consistent");
    }
  }
}

import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { PublishedSource } from "./channel.ts";
import { heldVersions, nameOfResource } from "./held-versions.ts";

export type ResourceReader = Pick<ResourceImage, "all" | "get">;

/** What nodes get in the place of stored resources, by `kind/id`. */
export type Substitutes = ReadonlyMap<string, { readonly good: StoredResource | null }>;

/** What nodes are meant to get: a source, with the last good version of what is in quarantine. */
export class QuarantineView implements PublishedSource {
  readonly #source: PublishedSource;
  readonly #stored: Pick<ResourceImage, "all" | "revision">;
  readonly image: PublishedSource["image"];
  /** Worked out once for each state: every resource is asked for. */
  #reader: ResourceReader;
  #readerOf = "";
  #isHolding = false;

  /** @param stored where the quarantines are; the source need not have them */
  constructor(source: PublishedSource, stored: Pick<ResourceImage, "all" | "revision">) {
    this.#source = source;
    this.#stored = stored;
    const { image } = source;
    this.#reader = image;
    this.image = {
      get publication() {
        return image.publication;
      },
      get revision() {
        return image.revision;
      },
      get: (kind, id) => this.#current().get(kind, id),
      all: (kind) => this.#current().all(kind),
    };
  }

  get epoch() {
    return this.#source.epoch;
  }

  /** Whether anything is held back. */
  get isHolding(): boolean {
    this.#current();
    return this.#isHolding;
  }

  #current(): ResourceReader {
    const { image } = this.#source;
    const state = `${image.publication} ${image.revision} ${this.#stored.revision}`;
    if (this.#readerOf !== state) {
      const held = heldVersions({ get: (kind, id) => image.get(kind, id), all: (kind) => this.#stored.all(kind) });
      this.#isHolding = held.size > 0;
      this.#reader = this.#isHolding ? substituted(image, held) : image;
      this.#readerOf = state;
    }
    return this.#reader;
  }
}

/** A state with other versions in the place of some of its resources. */
export function substituted(image: ResourceReader, substitutes: Substitutes): ResourceReader {
  return {
    get: <K extends StoredKind>(kind: K, id: string) => {
      const substitute = substitutes.get(nameOfResource({ kind, id }));
      return substitute === undefined ? image.get(kind, id) : ((substitute.good ?? undefined) as StoredResource<K>);
    },
    all: function* <K extends StoredKind>(kind: K) {
      for (const stored of image.all(kind)) if (!substitutes.has(nameOfResource(stored))) yield stored;
      for (const { good } of substitutes.values()) if (good?.kind === kind) yield good as StoredResource<K>;
    },
  };
}

import type { StoredKind } from "../resource/checked.ts";
import type { PublishedSource } from "../snapshot/channel.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import { type FrozenContent, LIVE_KINDS } from "./frozen-content.ts";
import type { ServedPoint } from "./publication-ledger.ts";

/** A content under a number. */
export interface ShownContent {
  readonly content: FrozenContent;
  readonly point: ServedPoint;
}

/**
 * What some of the nodes are to serve: all of the store, or a content of it that was frozen, with what is always live.
 * It is the same object from rollout to rollout, so that what is made of it can be deltas.
 */
export class RolloutView implements PublishedSource {
  readonly #store: Pick<Store, "epoch" | "image">;
  #frozen: ShownContent | null = null;

  readonly image: PublishedSource["image"];

  constructor(store: Pick<Store, "epoch" | "image">) {
    this.#store = store;
    const frozen = () => this.#frozen;
    this.image = {
      get publication() {
        return frozen()?.point.publication ?? store.image.publication;
      },
      get revision() {
        return frozen()?.point.revision ?? store.image.revision;
      },
      get: ((kind, id) => this.#get(kind, id)) as PublishedSource["image"]["get"],
      all: ((kind) => this.#all(kind)) as PublishedSource["image"]["all"],
    };
  }

  get epoch() {
    return this.#store.epoch;
  }

  /** @param shown null for all of the store */
  show(shown: ShownContent | null): void {
    this.#frozen = shown;
  }

  #get(kind: StoredKind, id: string): StoredResource | undefined {
    const { image } = this.#store;
    if (this.#frozen === null) return image.get(kind, id);
    if (!LIVE_KINDS.has(kind)) return this.#frozen.content.get(kind, id);
    const resource = image.get(kind, id);
    if (resource !== undefined) return this.#isOfThis(resource) ? resource : undefined;
    if (kind === "health_override") for (const kept of this.#overridesOfRemoved()) if (kept.id === id) return kept;
    return undefined;
  }

  #all(kind: StoredKind): Iterable<StoredResource> {
    const { image } = this.#store;
    if (this.#frozen === null) return image.all(kind);
    return LIVE_KINDS.has(kind) ? this.#live(kind) : this.#frozen.content.all(kind);
  }

  *#live(kind: StoredKind): Iterable<StoredResource> {
    for (const resource of this.#store.image.all(kind)) if (this.#isOfThis(resource)) yield resource;
    if (kind === "health_override") yield* this.#overridesOfRemoved();
  }

  /** A target that is out of use must not come into it because it is to be removed later. */
  *#overridesOfRemoved(): Generator<StoredResource> {
    const { image } = this.#store;
    for (const kept of this.#frozen?.content.overridesOfRemoved() ?? []) {
      const isAgainThere = image.get("target", kept.message.target?.id ?? "") !== undefined;
      if (!isAgainThere && image.get("health_override", kept.id) === undefined && this.#isOfThis(kept)) yield kept;
    }
  }

  /** What is decided of a target that is not in this content yet, or no more, is nobody's business here. */
  #isOfThis(resource: StoredResource): boolean {
    if (resource.kind !== "health_override") return true;
    const targetId = (resource as StoredResource<"health_override">).message.target?.id ?? "";
    return this.#frozen?.content.get("target", targetId) !== undefined;
  }
}

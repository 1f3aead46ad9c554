import type { StoredKind } from "../resource/checked.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { StoreEpoch } from "../store/store.ts";
import type { PublishedImage, PublishedSource } from "./channel.ts";
import type { LabelMatcher } from "./node-conditions.ts";
import type { SubsetEntry } from "./subset-graph.ts";
import type { SubsetChange, SubsetIndex } from "./subset-index.ts";

/** A source as nodes with certain labels are to have it: as the index is, not as the source is by now. */
export class SubsetView implements PublishedSource, PublishedImage {
  readonly epoch: StoreEpoch;
  readonly image: PublishedImage = this;
  readonly #index: SubsetIndex;
  readonly #labels: NodeLabels;
  #conditions: object | null = null;
  #matcher: LabelMatcher;

  constructor(epoch: StoreEpoch, index: SubsetIndex, labels: NodeLabels) {
    this.epoch = epoch;
    this.#index = index;
    this.#labels = labels;
    this.#matcher = index.matcher(labels);
    this.#conditions = index.conditions;
  }

  get isHolding(): boolean {
    return this.#index.isHolding;
  }

  get publication(): number {
    return this.#index.publication;
  }

  get revision(): number {
    return this.#index.revision;
  }

  /** One text for all views of the same content. */
  get subset(): string {
    return this.#index.subsetOf(this.#currentMatcher());
  }

  get<K extends StoredKind>(kind: K, id: string): StoredResource<K> | undefined {
    const entry = this.#index.entry(kind, id);
    if (entry === undefined || !this.#currentMatcher().meets(entry.condition)) return undefined;
    return entry.stored as StoredResource<K>;
  }

  all<K extends StoredKind>(kind: K): Iterable<StoredResource<K>> {
    return this.#there(this.#index.entries(kind)) as Iterable<StoredResource<K>>;
  }

  changesSince(publication: number): Iterable<SubsetChange> | null {
    const changes = this.#index.changesSince(publication);
    return changes === null ? null : this.#ofThis(changes);
  }

  referrersOf(kind: StoredKind, id: string): Iterable<StoredResource> | null {
    const referrers = this.#index.referrers(kind, id);
    return referrers === null ? null : this.#there(referrers);
  }

  *#ofThis(changes: Iterable<SubsetChange>): Iterable<SubsetChange> {
    const matcher = this.#currentMatcher();
    for (const change of changes) if (matcher.meets(change.before) || matcher.meets(change.after)) yield change;
  }

  *#there(entries: Iterable<SubsetEntry>): Iterable<StoredResource> {
    const matcher = this.#currentMatcher();
    for (const { stored, condition } of entries) if (matcher.meets(condition)) yield stored;
  }

  #currentMatcher(): LabelMatcher {
    if (this.#conditions !== this.#index.conditions) {
      this.#conditions = this.#index.conditions;
      this.#matcher = this.#index.matcher(this.#labels);
    }
    return this.#matcher;
  }
}

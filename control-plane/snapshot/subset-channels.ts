import { type NodeLabels, noLabels } from "../resource/node-selector.ts";
import { SlicedWork, type SliceTiming } from "../steps/sliced-work.ts";
import type { Log } from "../telemetry/log.ts";
import { Channel, type Likeness, type PublishedSource } from "./channel.ts";
import type { Channels } from "./channels.ts";
import type { RingLimits } from "./publication-ring.ts";
import { SubsetIndex } from "./subset-index.ts";
import { SubsetView } from "./subset-view.ts";

export interface SubsetChannelsOptions {
  readonly source: PublishedSource;
  readonly ringLimits: RingLimits;
  readonly log: Log;
  /** By what a node is vouched for; the same object for as long as they are the same. */
  readonly labelsOf: (nodeId: string) => NodeLabels;
  readonly clock: SliceTiming["clock"];
  /** So long at most, and a step, publications are made in one go. Default: however long it takes. */
  readonly sliceMs?: number;
  /** Publications that took longer are there, and those that wait for a channel have one. Default: nobody is told. */
  readonly onLate?: () => void;
  /** How long a subset without nodes is kept, so that those who come back get no more than what changed. */
  readonly graceMs: number;
}

/** What nodes get whose labels the same selectors match. */
interface Subset {
  readonly view: SubsetView;
  readonly channel: Channel;
  /** The selectors; another subset may have come to have the same. */
  name: string;
  /** Whether it had the same as an older one when changes were published last. */
  isDouble: boolean;
  nodeCount: number;
  stopTimer: () => void;
}

/** Nodes with the same labels. */
interface Group {
  readonly text: string;
  readonly labels: NodeLabels;
  subset: Subset;
  nodeCount: number;
}

interface Member {
  labels: NodeLabels;
  group: Group;
}

/** A node that waits for the channel of its labels. */
interface Arrival {
  readonly nodeId: string;
  readonly labels: NodeLabels;
  readonly before: (() => Channel) | undefined;
}

/**
 * One channel for all nodes whose labels the same selectors match, whatever else their labels say. When selectors come
 * and go, so that some nodes of a channel get other content than the rest, these go on in a channel of their own that
 * has the past of the one that they had: what they are sent is what changes for them.
 *
 * All of it is made in steps from a state of the source that the first of them takes over. A channel shows a publication
 * when it is whole, and a node goes from one channel to another when that has what is meant for it. Steps that take
 * longer than a slice go on in later turns of the event loop; what is written meanwhile is published after that.
 */
export class SubsetChannels implements Channels {
  readonly #options: SubsetChannelsOptions;
  readonly #index: SubsetIndex;
  readonly #work: SlicedWork;
  readonly #members = new Map<string, Member>();
  readonly #arrivals = new Map<string, Arrival>();
  /** Whether what the source shows by now is to be published on every channel. */
  #isRefreshDue = false;
  /** Of those who wait for theirs: nothing is ever published there. */
  readonly #waiting: Channel;
  /** By the text of their labels. */
  readonly #groups = new Map<string, Group>();
  /** The oldest first. */
  readonly #subsets = new Set<Subset>();
  /** Of the index, when the subsets got their names. */
  #selectorsVersion = -1;
  #isClosed = false;

  constructor(options: SubsetChannelsOptions) {
    this.#options = options;
    this.#index = new SubsetIndex(options.source);
    this.#work = new SlicedWork({ clock: options.clock, sliceMs: options.sliceMs ?? Number.POSITIVE_INFINITY });
    this.#waiting = new Channel(options.source, { publicationMaxCount: 1, changeMaxCount: 1 }, options.log);
  }

  /** How many channels there are. */
  get count(): number {
    return this.#subsets.size;
  }

  get isUnderWay(): boolean {
    return this.#work.isUnderWay;
  }

  channelFor({ nodeId }: { readonly nodeId: string }, before?: () => Channel): Channel {
    const labels = this.#options.labelsOf(nodeId);
    const member = this.#members.get(nodeId);
    if (member?.labels === labels) return member.group.subset.channel;
    if (this.#arrivals.get(nodeId)?.labels !== labels) this.#arrivals.set(nodeId, { nodeId, labels, before });
    this.#advance();
    const arrived = this.#members.get(nodeId);
    return arrived?.labels === labels ? arrived.group.subset.channel : this.#waiting;
  }

  sourcePublicationFor(): number {
    return this.#options.source.image.publication;
  }

  left({ nodeId }: { readonly nodeId: string }): void {
    this.#arrivals.delete(nodeId);
    const member = this.#members.get(nodeId);
    if (member === undefined) return;
    this.#members.delete(nodeId);
    this.#leave(member.group);
  }

  refresh(): void {
    this.#isRefreshDue = true;
    this.#advance();
  }

  refreshAtOnce(): void {
    this.refresh();
    while (this.#work.isUnderWay) this.#work.finish();
  }

  #advance(): void {
    while (!this.#work.isUnderWay && !this.#isClosed && (this.#isRefreshDue || this.#arrivals.size > 0))
      this.#work.begin(this.#steps(), () => {
        this.#advance();
        this.#options.onLate?.();
      });
  }

  /** Does what is due at the first step. */
  *#steps(): Generator<void, void> {
    const isRefresh = this.#isRefreshDue;
    this.#isRefreshDue = false;
    const arrivals = [...this.#arrivals.values()];
    try {
      yield* this.#index.updateSteps();
      yield* this.#part();
      for (const arrival of arrivals) yield* this.#welcome(arrival);
      if (isRefresh) yield* this.#refreshAll();
    } catch (error) {
      this.#arrivals.clear();
      this.#options.log.error({ err: error }, "publications could not be made");
    }
  }

  *#refreshAll(): Generator<void, void> {
    // No group: one without nodes would be found again after its subset was forgotten.
    if (this.#subsets.size === 0) this.#open(noLabels, this.#nameOf(noLabels), null);
    let isForNobody = true;
    for (const { channel, nodeCount } of this.#subsets) {
      if (nodeCount === 0) continue;
      isForNobody = false;
      yield* channel.refreshSteps();
      yield;
    }
    // What is published while there is no node is what those hold that come back after we were away, or come from
    // another control plane; and when the first one comes, it need not wait until all has been made.
    const [oldest] = this.#subsets;
    if (isForNobody && oldest !== undefined) yield* oldest.channel.refreshSteps();
    yield* this.#joinDoubles();
  }

  close(): void {
    this.#isClosed = true;
    this.#work.close();
    for (const { stopTimer } of this.#subsets) stopTimer();
  }

  /** Takes over what the index says of whom the same selectors match. */
  *#part(): Generator<void, void> {
    const { selectorsVersion } = this.#index;
    if (selectorsVersion === this.#selectorsVersion) return;
    for (const subset of this.#subsets) {
      subset.name = subset.view.subset;
      yield;
    }
    for (const group of this.#groups.values()) {
      const name = this.#nameOf(group.labels);
      yield;
      if (name !== group.subset.name) yield* this.#moveGroup(group, name);
    }
    this.#selectorsVersion = selectorsVersion;
  }

  /** It stays where it is until the other channel has what is meant for it; what it has got so far is not changed before. */
  *#moveGroup(group: Group, name: string): Generator<void, void> {
    const { channel } = group.subset;
    const subset = this.#subsetNamed(name) ?? this.#open(group.labels, name, { channel, isSame: true });
    yield* this.#refreshed(subset, () => {
      // Its last node may have left.
      if (this.#groups.get(group.text) !== group) return;
      this.#count(group.subset, -group.nodeCount);
      group.subset = subset;
      this.#count(subset, group.nodeCount);
    });
  }

  /** What a node gets from now on must be no older than what it has got so far: it has no channel before that is there. */
  *#welcome(arrival: Arrival): Generator<void, void> {
    const { nodeId, labels, before } = arrival;
    // It may have left, or have got other labels; as below.
    if (this.#arrivals.get(nodeId) !== arrival) return;
    const text = JSON.stringify(Object.entries(labels).sort());
    const name = this.#nameOf(labels);
    const subset =
      this.#groups.get(text)?.subset ?? this.#subsetNamed(name) ?? this.#open(labels, name, this.#likeFor(before?.()));
    yield* this.#refreshed(subset, () => {
      if (this.#arrivals.get(nodeId) !== arrival) return;
      this.#arrivals.delete(nodeId);
      const group = this.#groups.get(text) ?? { text, labels, subset, nodeCount: 0 };
      this.#groups.set(text, group);
      const former = this.#members.get(nodeId)?.group;
      if (former !== group) {
        if (former !== undefined) this.#leave(former);
        this.#join(group);
      }
      this.#members.set(nodeId, { labels, group });
    });
  }

  /** @param then what is to be done in the turn in which the subset is as the index is */
  *#refreshed(subset: Subset, then: () => void): Generator<void, void> {
    // Not to be forgotten meanwhile.
    this.#count(subset, 1);
    try {
      yield* subset.channel.refreshSteps();
      then();
    } finally {
      this.#count(subset, -1);
    }
  }

  /** What a new channel begins with. */
  #likeFor(before: Channel | undefined): Likeness | null {
    const published = before?.newest ?? null;
    // Under one number there can be one content only.
    if (before !== undefined && published !== null && published.publication < this.#index.publication)
      return { channel: before, isSame: true };
    const [oldest] = this.#subsets;
    const channel = oldest?.channel ?? before;
    return channel === undefined ? null : { channel, isSame: false };
  }

  #nameOf(labels: NodeLabels): string {
    return this.#index.subsetOf(this.#index.matcher(labels));
  }

  /** The oldest one. */
  #subsetNamed(name: string): Subset | undefined {
    for (const subset of this.#subsets) if (subset.name === name) return subset;
    return undefined;
  }

  #open(labels: NodeLabels, name: string, like: Likeness | null): Subset {
    const { source, ringLimits, log } = this.#options;
    const view = new SubsetView(source.epoch, this.#index, labels);
    const channel = new Channel(view, ringLimits, log, like);
    const subset = { view, channel, name, isDouble: false, nodeCount: 0, stopTimer: () => {} };
    this.#subsets.add(subset);
    return subset;
  }

  /**
   * Nodes of subsets that have become the same go on in the oldest one, once both have published the same: from then on
   * what they hold is known there, too.
   */
  *#joinDoubles(): Generator<void, void> {
    const oldest = new Map<string, Subset>();
    for (const subset of this.#subsets) {
      const first = oldest.get(subset.name);
      if (first === undefined) {
        oldest.set(subset.name, subset);
        subset.isDouble = false;
      } else if (!subset.isDouble) subset.isDouble = true;
      else yield* this.#refreshed(first, () => this.#moveAll(subset, first));
    }
  }

  #moveAll(from: Subset, to: Subset): void {
    for (const group of this.#groups.values()) {
      if (group.subset !== from) continue;
      group.subset = to;
      this.#count(to, group.nodeCount);
    }
    from.stopTimer();
    this.#subsets.delete(from);
  }

  #join(group: Group): void {
    group.nodeCount++;
    this.#count(group.subset, 1);
  }

  #leave(group: Group): void {
    group.nodeCount--;
    this.#count(group.subset, -1);
    if (group.nodeCount === 0) this.#groups.delete(group.text);
  }

  #count(subset: Subset, step: number): void {
    subset.nodeCount += step;
    subset.stopTimer();
    if (subset.nodeCount > 0) return;
    subset.stopTimer = this.#options.clock.after(this.#options.graceMs, () => {
      // The last one stays: whoever comes first has the most in common with it.
      if (this.#subsets.size > 1) this.#subsets.delete(subset);
    });
  }
}

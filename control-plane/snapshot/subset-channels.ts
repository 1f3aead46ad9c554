import { type NodeLabels, noLabels } from "../resource/node-selector.ts";
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
  readonly clock: { after(delayMs: number, run: () => void): () => void };
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

/**
 * One channel for all nodes whose labels the same selectors match, whatever else their labels say. When selectors come
 * and go, so that some nodes of a channel get other content than the rest, these go on in a channel of their own that
 * has the past of the one that they had: what they are sent is what changes for them.
 */
export class SubsetChannels implements Channels {
  readonly #options: SubsetChannelsOptions;
  readonly #index: SubsetIndex;
  readonly #members = new Map<string, Member>();
  /** By the text of their labels. */
  readonly #groups = new Map<string, Group>();
  /** The oldest first. */
  readonly #subsets = new Set<Subset>();
  /** Of the index, when the subsets got their names. */
  #selectorsVersion = -1;

  constructor(options: SubsetChannelsOptions) {
    this.#options = options;
    this.#index = new SubsetIndex(options.source);
  }

  /** How many channels there are. */
  get count(): number {
    return this.#subsets.size;
  }

  channelFor({ nodeId }: { readonly nodeId: string }, before?: () => Channel): Channel {
    const labels = this.#options.labelsOf(nodeId);
    const member = this.#members.get(nodeId);
    if (member?.labels === labels) return member.group.subset.channel;
    this.#update();
    const group = this.#groupOf(labels, before);
    if (member?.group !== group) {
      if (member !== undefined) this.#leave(member.group);
      this.#join(group);
      // What it gets from now on must be no older than what it has got so far.
      group.subset.channel.refresh();
    }
    this.#members.set(nodeId, { labels, group });
    return group.subset.channel;
  }

  sourcePublicationFor(): number {
    return this.#options.source.image.publication;
  }

  left({ nodeId }: { readonly nodeId: string }): void {
    const member = this.#members.get(nodeId);
    if (member === undefined) return;
    this.#members.delete(nodeId);
    this.#leave(member.group);
  }

  refresh(): void {
    this.#update();
    // No group: one without nodes would be found again after its subset was forgotten.
    if (this.#subsets.size === 0) this.#open(noLabels, this.#nameOf(noLabels), null);
    let isForNobody = true;
    for (const { channel, nodeCount } of this.#subsets) {
      if (nodeCount === 0) continue;
      channel.refresh();
      isForNobody = false;
    }
    // What is published while there is no node is what those hold that come back after we were away, or come from
    // another control plane; and when the first one comes, it need not wait until all has been made.
    const [oldest] = this.#subsets;
    if (isForNobody) oldest?.channel.refresh();
    this.#joinDoubles();
  }

  close(): void {
    for (const { stopTimer } of this.#subsets) stopTimer();
  }

  /** Takes over what the source says now of who gets what. */
  #update(): void {
    this.#index.update();
    if (this.#index.selectorsVersion === this.#selectorsVersion) return;
    this.#selectorsVersion = this.#index.selectorsVersion;
    for (const subset of this.#subsets) subset.name = subset.view.subset;
    for (const group of this.#groups.values()) {
      const name = this.#nameOf(group.labels);
      if (name === group.subset.name) continue;
      const { channel } = group.subset;
      const subset = this.#subsetNamed(name) ?? this.#open(group.labels, name, { channel, isSame: true });
      subset.channel.refresh();
      this.#count(group.subset, -group.nodeCount);
      group.subset = subset;
      this.#count(subset, group.nodeCount);
    }
  }

  #groupOf(labels: NodeLabels, before?: () => Channel): Group {
    const text = JSON.stringify(Object.entries(labels).sort());
    const known = this.#groups.get(text);
    if (known !== undefined) return known;
    const name = this.#nameOf(labels);
    const subset = this.#subsetNamed(name) ?? this.#open(labels, name, this.#likeFor(before?.()));
    const group = { text, labels, subset, nodeCount: 0 };
    this.#groups.set(text, group);
    return group;
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
  #joinDoubles(): void {
    const oldest = new Map<string, Subset>();
    for (const subset of this.#subsets) {
      const first = oldest.get(subset.name);
      if (first === undefined) {
        oldest.set(subset.name, subset);
        subset.isDouble = false;
      } else if (!subset.isDouble) subset.isDouble = true;
      else this.#moveAll(subset, first);
    }
  }

  #moveAll(from: Subset, to: Subset): void {
    to.channel.refresh();
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

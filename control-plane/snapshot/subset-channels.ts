import { type NodeLabels, noLabels } from "../resource/node-selector.ts";
import type { Log } from "../telemetry/log.ts";
import { Channel, type ChannelSteps, type Likeness, type PublishedSource } from "./channel.ts";
import type { Arrival, Channels } from "./channels.ts";
import type { RingLimits } from "./publication-ring.ts";
import { lateChanges } from "./snapshot-cache.ts";
import { SubsetIndex } from "./subset-index.ts";
import { SubsetView } from "./subset-view.ts";

export interface SubsetChannelsOptions {
  readonly source: PublishedSource;
  readonly ringLimits: RingLimits;
  readonly log: Log;
  /** By what a node is vouched for; the same object for as long as they are the same. */
  readonly labelsOf: (nodeId: string) => NodeLabels;
  /** What it runs must not fall between two steps. */
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

/** A node that is given its channel, by the labels that it has as of what is published then. */
interface Guest extends Arrival {
  readonly labels: NodeLabels;
}

/** Where a node goes. */
interface Place {
  readonly nodeId: string;
  readonly labels: NodeLabels;
  /** Of its group. */
  readonly text: string;
  readonly subset: Subset;
}

/** Who goes where with the next publication. */
interface Moves {
  readonly opened: Subset[];
  readonly ofGroups: Map<Group, Subset>;
  readonly ofGuests: Place[];
}

/**
 * One channel for all nodes whose labels the same selectors match, whatever else their labels say. When selectors come
 * and go, so that some nodes of a channel get other content than the rest, these go on in a channel of their own that
 * has the past of the one that they had: what they are sent is what changes for them.
 *
 * All channels publish in one turn of the event loop, in which nodes also go from one to another: whoever was still on the
 * former one when that went on would get what is not meant for it.
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

  channelOf(nodeId: string): Channel | null {
    return this.#members.get(nodeId)?.group.subset.channel ?? null;
  }

  sourcePublicationFor(): number {
    return this.#options.source.image.publication;
  }

  left(nodeId: string): void {
    const member = this.#members.get(nodeId);
    if (member === undefined) return;
    this.#members.delete(nodeId);
    this.#leave(member.group);
  }

  arriveSteps(arrivals: readonly Arrival[]): ChannelSteps {
    return this.#steps(arrivals, false);
  }

  refreshSteps(arrivals: readonly Arrival[] = []): ChannelSteps {
    return this.#steps(arrivals, true);
  }

  close(): void {
    for (const { stopTimer } of this.#subsets) stopTimer();
  }

  /** @param isRefresh whether all is published, not only where somebody goes */
  *#steps(arrivals: readonly Arrival[], isRefresh: boolean): ChannelSteps {
    const guests = this.#guests(arrivals);
    yield* this.#index.updateSteps();
    const moves: Moves = { opened: [], ofGroups: new Map(), ofGuests: [] };
    yield* this.#moveGroups(moves, isRefresh);
    for (const guest of guests) {
      moves.ofGuests.push(this.#placeOf(guest, moves));
      yield;
    }
    const toPublish = this.#subsetsToPublish(moves, isRefresh);
    const late = lateChanges();
    const publish: (() => void)[] = [];
    for (const { channel } of toPublish) {
      publish.push(yield* channel.prepareSteps(late));
      yield;
    }
    const { selectorsVersion } = this.#index;
    return () => {
      for (const one of publish) one();
      this.#make(moves);
      if (isRefresh) this.#markDoubles();
      this.#selectorsVersion = selectorsVersion;
    };
  }

  /** Those who arrive, and those whose labels are others by now: these come with a publication of their own. */
  #guests(arrivals: readonly Arrival[]): Guest[] {
    const { source, labelsOf } = this.#options;
    const guests = arrivals.map((arrival) => ({ ...arrival, labels: labelsOf(arrival.nodeId) }));
    if (source.image.publication === this.#index.publication) return guests;
    const arriving = new Set(arrivals.map(({ nodeId }) => nodeId));
    for (const [nodeId, member] of this.#members) {
      const labels = labelsOf(nodeId);
      if (labels !== member.labels && !arriving.has(nodeId)) guests.push({ nodeId, labels });
    }
    return guests;
  }

  /** Of those that other selectors match by now, and of those in doubles. */
  *#moveGroups(moves: Moves, isRefresh: boolean): Generator<void, void> {
    const isSelectedAnew = this.#index.selectorsVersion !== this.#selectorsVersion;
    if (isSelectedAnew) {
      for (const subset of this.#subsets) {
        subset.name = subset.view.subset;
        yield;
      }
    }
    for (const group of this.#groups.values()) {
      const { subset } = group;
      const isDouble = isRefresh && subset.isDouble;
      if (!isSelectedAnew && !isDouble) continue;
      yield;
      const name = this.#nameOf(group.labels);
      if (name === subset.name && !isDouble) continue;
      const like = () => ({ channel: subset.channel, isSame: true });
      const next = this.#subsetNamed(name, moves) ?? this.#open(group.labels, name, like(), moves);
      if (next !== subset) moves.ofGroups.set(group, next);
    }
  }

  #placeOf({ nodeId, labels, before }: Guest, moves: Moves): Place {
    const text = JSON.stringify(Object.entries(labels).sort());
    const group = this.#groups.get(text);
    if (group !== undefined) return { nodeId, labels, text, subset: moves.ofGroups.get(group) ?? group.subset };
    const name = this.#nameOf(labels);
    const subset = this.#subsetNamed(name, moves) ?? this.#open(labels, name, this.#likeFor(before?.() ?? null), moves);
    return { nodeId, labels, text, subset };
  }

  #subsetsToPublish(moves: Moves, isRefresh: boolean): ReadonlySet<Subset> {
    const { opened, ofGroups, ofGuests } = moves;
    const places = ofGuests.filter(({ nodeId, text }) => this.#members.get(nodeId)?.group.text !== text);
    const all = new Set([...ofGroups.values(), ...places.map(({ subset }) => subset)]);
    if (!isRefresh) return all;
    for (const group of this.#groups.values()) all.add(ofGroups.get(group) ?? group.subset);
    if (all.size > 0) return all;
    // What is published while there is no node is what those hold that come back after we were away, or come from
    // another control plane; and when the first one comes, it need not wait until all has been made. No group: one
    // without nodes would be found again after its subset was forgotten.
    const [oldest = this.#open(noLabels, this.#nameOf(noLabels), null, moves)] = [...this.#subsets, ...opened];
    return new Set([oldest]);
  }

  #make({ opened, ofGroups, ofGuests }: Moves): void {
    for (const subset of opened) this.#subsets.add(subset);
    for (const [group, subset] of ofGroups) {
      const former = group.subset;
      this.#count(former, -group.nodeCount);
      group.subset = subset;
      this.#count(subset, group.nodeCount);
      if (!former.isDouble || former.nodeCount > 0) continue;
      former.stopTimer();
      this.#subsets.delete(former);
    }
    for (const { nodeId, labels, text, subset } of ofGuests) {
      const group = this.#groups.get(text) ?? { text, labels, subset, nodeCount: 0 };
      this.#groups.set(text, group);
      const member = this.#members.get(nodeId);
      if (member?.group !== group) {
        if (member !== undefined) this.#leave(member.group);
        this.#join(group);
      }
      this.#members.set(nodeId, { labels, group });
    }
  }

  /** What a new channel begins with. */
  #likeFor(before: Channel | null): Likeness | null {
    const published = before?.newest ?? null;
    // Under one number there can be one content only.
    if (before !== null && published !== null && published.publication < this.#index.publication)
      return { channel: before, isSame: true };
    const [oldest] = this.#subsets;
    const channel = oldest?.channel ?? before;
    return channel === null ? null : { channel, isSame: false };
  }

  #nameOf(labels: NodeLabels): string {
    return this.#index.subsetOf(this.#index.matcher(labels));
  }

  /** The oldest one. */
  #subsetNamed(name: string, { opened }: Moves): Subset | undefined {
    for (const subset of this.#subsets) if (subset.name === name) return subset;
    return opened.find((subset) => subset.name === name);
  }

  #open(labels: NodeLabels, name: string, like: Likeness | null, { opened }: Moves): Subset {
    const { source, ringLimits, log } = this.#options;
    const view = new SubsetView(source.epoch, this.#index, labels);
    const channel = new Channel(view, ringLimits, log, like);
    const subset = { view, channel, name, isDouble: false, nodeCount: 0, stopTimer: () => {} };
    opened.push(subset);
    return subset;
  }

  /**
   * Nodes of subsets that have become the same go on in the oldest one, once both have published the same: from then on
   * what they hold is known there, too.
   */
  #markDoubles(): void {
    const names = new Set<string>();
    for (const subset of this.#subsets) {
      subset.isDouble = names.has(subset.name);
      names.add(subset.name);
    }
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
      if (subset.nodeCount === 0 && this.#subsets.size > 1) this.#subsets.delete(subset);
    });
  }
}

import { Channel, type PublishedSource } from "../snapshot/channel.ts";
import type { Channels } from "../snapshot/channels.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import { RolloutView, type ShownContent } from "./rollout-view.ts";

/** Makes the channels of what a source shows. */
export type MakeChannels = (source: PublishedSource) => Channels;

interface Side {
  readonly view: RolloutView;
  readonly channels: Channels;
}

/**
 * The publications while a rollout is under way: those of the baseline, and beside them those of the candidate for the
 * nodes that are reached. When it ends both show the same under the same numbers, until every node has that; then one of
 * them is enough, and no node has noticed.
 */
export class RolloutChannels implements Channels {
  readonly #store: Pick<Store, "epoch" | "image">;
  readonly #make: MakeChannels;
  /** Never refreshed: there is nothing in it. */
  readonly #silent: Channel;
  readonly #main: Side;
  #candidate: Side | null = null;
  #isOnCandidate: (nodeId: string) => boolean = () => false;
  /** Nothing new is published, as what would be is not known. */
  isSuspended = false;

  constructor(store: Pick<Store, "epoch" | "image">, make: MakeChannels, log: Log) {
    this.#store = store;
    this.#make = make;
    this.#silent = new Channel(store, { publicationMaxCount: 1, changeMaxCount: 1 }, log);
    this.#main = this.#newSide();
  }

  channelFor(node: { readonly nodeId: string }): Channel {
    if (this.isSuspended) return this.#silent;
    const { channels } = this.#sideOf(node.nodeId);
    if (channels === this.#main.channels) return channels.channelFor(node);
    // It begins with what the nodes have, so that what they get is a delta from there.
    return channels.channelFor(node, () => this.#main.channels.channelFor(node));
  }

  sourcePublicationFor({ nodeId }: { readonly nodeId: string }): number {
    return this.#sideOf(nodeId).view.image.publication;
  }

  left(node: { readonly nodeId: string }): void {
    this.#main.channels.left(node);
    this.#candidate?.channels.left(node);
  }

  close(): void {
    this.#main.channels.close();
    this.#candidate?.channels.close();
  }

  refresh(): void {
    if (this.isSuspended) return;
    this.#main.channels.refresh();
    this.#candidate?.channels.refresh();
  }

  /** Whether the end of the last rollout still has publications of its own. */
  get isSplit(): boolean {
    return this.#candidate !== null;
  }

  /** A rollout is under way. @param isReached may change its answers */
  showCandidate(candidate: ShownContent, baseline: ShownContent | null, isReached: (nodeId: string) => boolean): void {
    this.#main.view.show(baseline);
    this.#candidate ??= this.#newSide();
    this.#candidate.view.show(candidate);
    this.#isOnCandidate = isReached;
  }

  /** All nodes get the same, the reached ones as a change of what they had. @param shown null: all of the store */
  showToAll(shown: ShownContent | null): void {
    this.#main.view.show(shown);
    this.#candidate?.view.show(shown);
  }

  /** Every node has what is shown to all, or does not come to it. */
  join(): void {
    this.#candidate?.channels.close();
    this.#candidate = null;
    this.#isOnCandidate = () => false;
  }

  #sideOf(nodeId: string): Side {
    return this.#candidate !== null && this.#isOnCandidate(nodeId) ? this.#candidate : this.#main;
  }

  #newSide(): Side {
    const view = new RolloutView(this.#store);
    return { view, channels: this.#make(view) };
  }
}

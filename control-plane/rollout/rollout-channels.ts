import { Channel, type ChannelSteps, type PublishedSource } from "../snapshot/channel.ts";
import type { Arrival, Channels } from "../snapshot/channels.ts";
import { together } from "../steps/together.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import { RolloutView, type ShownContent } from "./rollout-view.ts";

export type BetweenSteps = (change: () => void) => void;

/** Makes the channels of what a source shows. */
export type MakeChannels = (source: PublishedSource) => Channels;

export interface RolloutChannelsOptions {
  readonly store: Pick<Store, "epoch" | "image">;
  readonly make: MakeChannels;
  /** Runs what must not fall between two steps of the channels: at once, or when they are taken, before others are. */
  readonly betweenSteps: BetweenSteps;
  readonly log: Log;
}

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
  readonly #options: RolloutChannelsOptions;
  /** Never refreshed: there is nothing in it. */
  readonly #silent: Channel;
  /** Every node is there, if it is not suspended, wherever it gets its publications from. */
  readonly #main: Side;
  readonly #nodeIds = new Set<string>();
  #candidate: Side | null = null;
  #isOnCandidate: (nodeId: string) => boolean = () => false;
  #isSuspended = false;
  /** Changes that wait until steps are taken. */
  #waitingCount = 0;

  constructor(options: RolloutChannelsOptions) {
    this.#options = options;
    this.#silent = new Channel(options.store, { publicationMaxCount: 1, changeMaxCount: 1 }, options.log);
    this.#main = this.#newSide();
  }

  channelOf(nodeId: string): Channel | null {
    if (!this.#nodeIds.has(nodeId)) return null;
    if (this.#isSuspended) return this.#silent;
    // One that was reached stays where it is until the candidate's channel has what is meant for it; one that came while
    // nothing was published gets nothing until then, either.
    const given = this.#sideOf(nodeId).channels.channelOf(nodeId) ?? this.#main.channels.channelOf(nodeId);
    return given ?? this.#silent;
  }

  sourcePublicationFor(nodeId: string): number {
    return this.#sideOf(nodeId).view.image.publication;
  }

  arriveSteps(arrivals: readonly Arrival[]): ChannelSteps {
    return this.#steps(arrivals, false);
  }

  refreshSteps(arrivals: readonly Arrival[] = []): ChannelSteps {
    return this.#steps(arrivals, true);
  }

  left(nodeId: string): void {
    this.#nodeIds.delete(nodeId);
    this.#main.channels.left(nodeId);
    this.#candidate?.channels.left(nodeId);
  }

  close(): void {
    this.#main.channels.close();
    this.#candidate?.channels.close();
  }

  *#steps(arrivals: readonly Arrival[], isRefresh: boolean): ChannelSteps {
    const publish = this.#isSuspended ? [] : yield* together(this.#stepsOfSides(arrivals, isRefresh));
    return () => {
      for (const one of publish) one();
      for (const { nodeId } of arrivals) this.#nodeIds.add(nodeId);
    };
  }

  /** Both sides or none: who is reached must not see what the others get from now on, nor anybody less when they join. */
  #stepsOfSides(arrivals: readonly Arrival[], isRefresh: boolean): ChannelSteps[] {
    const main = this.#main.channels;
    if (this.#candidate === null && !isRefresh) return [main.arriveSteps(arrivals)];
    // Those who came while it was suspended.
    const late = [...this.#nodeIds].filter((nodeId) => main.channelOf(nodeId) === null);
    const ofMain = main.refreshSteps([...arrivals, ...late.map((nodeId) => ({ nodeId }))]);
    if (this.#candidate === null) return [ofMain];
    return [ofMain, this.#candidate.channels.refreshSteps(this.#arrivalsAtCandidate(arrivals))];
  }

  /** Whether the end of the last rollout still has publications of its own. */
  get isSplit(): boolean {
    return this.#candidate !== null;
  }

  /** Whether something else is shown, or somebody goes elsewhere, as soon as the steps under way are taken. */
  get isChanging(): boolean {
    return this.#waitingCount > 0;
  }

  /** Nothing new is published, as what would be is not known. */
  suspend(isSuspended: boolean): void {
    this.#change(() => {
      this.#isSuspended = isSuspended;
    });
  }

  /** A rollout is under way. @param isReached always gives the same answer for a node */
  showCandidate(candidate: ShownContent, baseline: ShownContent | null, isReached: (nodeId: string) => boolean): void {
    this.#change(() => {
      this.#main.view.show(baseline);
      this.#candidate ??= this.#newSide();
      this.#candidate.view.show(candidate);
      this.#isOnCandidate = isReached;
    });
  }

  /** All nodes get the same, the reached ones as a change of what they had. @param shown null: all of the store */
  showToAll(shown: ShownContent | null): void {
    this.#change(() => {
      this.#main.view.show(shown);
      this.#candidate?.view.show(shown);
    });
  }

  /** Every node has what is shown to all, or does not come to it. */
  join(): void {
    this.#change(() => {
      this.#candidate?.channels.close();
      this.#candidate = null;
      this.#isOnCandidate = () => false;
    });
  }

  #change(change: () => void): void {
    this.#waitingCount++;
    this.#options.betweenSteps(() => {
      this.#waitingCount--;
      change();
    });
  }

  #sideOf(nodeId: string): Side {
    return this.#candidate !== null && this.#isOnCandidate(nodeId) ? this.#candidate : this.#main;
  }

  /** Of those who are to be there and are not. */
  #arrivalsAtCandidate(arriving: readonly Arrival[]): Arrival[] {
    const { channels } = this.#candidate!;
    const all = new Set([...this.#nodeIds, ...arriving.map(({ nodeId }) => nodeId)]);
    const absent = [...all].filter((id) => this.#isOnCandidate(id) && channels.channelOf(id) === null);
    // A channel begins with what the node has, so that what that gets is a delta from there.
    return absent.map((nodeId) => ({ nodeId, before: () => this.#main.channels.channelOf(nodeId) }));
  }

  #newSide(): Side {
    const view = new RolloutView(this.#options.store);
    return { view, channels: this.#options.make(view) };
  }
}

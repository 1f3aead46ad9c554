import type { Channel, ChannelSteps } from "./channel.ts";

/** A node that is to get a channel. */
export interface Arrival {
  readonly nodeId: string;
  /**
   * What the node got its publications from so far, asked where a new channel is made for it: that begins there.
   * Default: not known
   */
  readonly before?: () => Channel | null;
}

/**
 * Says which channel a node gets its publications from. What changes that, or what is published, is prepared in steps, of
 * which only the first reads the state that is published, and does nothing else; until all are taken and what they come to
 * is called, whatever is read is as before. Nothing else is to be begun or changed until then.
 */
export interface Channels {
  /** The same object for as long as the answer is the same; null: the node has not arrived. */
  channelOf(nodeId: string): Channel | null;
  /** Gives nodes their channels, where what they are meant to have is published. */
  arriveSteps(arrivals: readonly Arrival[]): ChannelSteps;
  /** The publication of what the node is to get, which its channel may not have published yet. */
  sourcePublicationFor(nodeId: string): number;
  /** The node's stream has ended. */
  left(nodeId: string): void;
  /**
   * Publishes the state of this moment on every channel that has readers, and has nodes go to another channel where that
   * is theirs now.
   * @param arrivals given theirs as well. Default: none
   */
  refreshSteps(arrivals?: readonly Arrival[]): ChannelSteps;
  close(): void;
}

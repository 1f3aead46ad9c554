import type { Channel } from "./channel.ts";

/** Says which channel a node gets its publications from. */
export interface Channels {
  /**
   * The same object for as long as the answer is the same.
   * @param before what a node with the labels of this one got its publications from so far, asked where a new channel is
   *   made for it: that begins there. Default: not known
   */
  channelFor(node: { readonly nodeId: string }, before?: () => Channel): Channel;
  /** The publication that what the node gets is at: that of its channel once changes have coalesced. */
  sourcePublicationFor(node: { readonly nodeId: string }): number;
  /** The node's stream has ended. */
  left(node: { readonly nodeId: string }): void;
  /** Publishes the state of this moment on every channel that has readers. */
  refresh(): void;
  close(): void;
}

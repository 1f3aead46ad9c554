import type { Log } from "../telemetry/log.ts";
import { Channel, type PublishedSource } from "./channel.ts";
import type { RingLimits } from "./publication-ring.ts";

/** Says which channel a node gets its publications from. */
export interface Channels {
  /** The same object for as long as the answer is the same. */
  channelFor(node: { readonly nodeId: string }): Channel;
  /** Publishes the state of this moment on every channel that has readers. */
  refresh(): void;
}

/** Every node gets everything. */
export class SoleChannel implements Channels {
  readonly #channel: Channel;

  constructor(source: PublishedSource, ringLimits: RingLimits, log: Log) {
    this.#channel = new Channel(source, ringLimits, log);
  }

  channelFor(): Channel {
    return this.#channel;
  }

  refresh(): void {
    this.#channel.refresh();
  }
}

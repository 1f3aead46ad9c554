import type { Channel } from "../../control-plane/snapshot/channel.ts";
import type { Channels } from "../../control-plane/snapshot/channels.ts";
import { untilDone } from "../../control-plane/steps/until-done.ts";

/** Publishes the state of this moment, all of it now. */
export function refresh(channels: Channels): void {
  untilDone(channels.refreshSteps())();
}

/** What a node gets its publications from; one that has none is given it now. */
export function channelFor(channels: Channels, nodeId: string): Channel {
  if (channels.channelOf(nodeId) === null) untilDone(channels.arriveSteps([{ nodeId }]))();
  return channels.channelOf(nodeId)!;
}

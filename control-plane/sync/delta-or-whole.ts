import type { Channel } from "../snapshot/channel.ts";
import type { EncodedPush } from "../snapshot/encode-snapshot.ts";
import { type AckState, deltaBase } from "./ack-state.ts";

/** For a node that has answered nothing yet: behind 10 KB/s what comes in one piece could end stream after stream. */
const FIRST_DELTA_MAX_BYTES = 128 * 1024;

/** What a node says in its hello that takes deltas. */
const DELTA_CAPABILITY = "delta.v1";

/** A node, as far as it says what it can be sent. */
export interface PushedTo {
  readonly state: AckState;
  readonly capabilities: readonly string[];
  /** Whether it has acked or nacked anything on its stream. */
  readonly hasAnswered: boolean;
}

/** The way to the newest publication from what the node serves now. */
export function deltaOrWhole(cache: Channel["cache"], { state, capabilities, hasAnswered }: PushedTo): EncodedPush {
  const base = capabilities.includes(DELTA_CAPABILITY) ? deltaBase(state) : null;
  const delta = base === null ? null : cache.deltaFrom(base);
  const [message] = delta?.messages ?? [];
  const isTooLarge = !hasAnswered && (message?.length ?? 0) > FIRST_DELTA_MAX_BYTES;
  return delta === null || isTooLarge ? cache.whole() : delta;
}

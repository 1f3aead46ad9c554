import { isSameHash } from "../../proto/state-hash.ts";
import { encodeMessage } from "../snapshot/encode-snapshot.ts";
import type { PublishedState } from "../snapshot/publication-ring.ts";
import type { StoreEpoch } from "../store/store.ts";
import type { ServedState } from "./ack-state.ts";

/** What a node is told from time to time: what the newest is, by the number that the node knows it by. */
export function heartbeatOf(served: ServedState | null, newest: PublishedState, { counter, id }: StoreEpoch): Buffer {
  const isServed = served?.isOfEarlierEpoch === false && isSameHash(served.stateHash, newest.stateHash);
  const { publication, stateHash } = isServed ? served : newest;
  const value = { publication: BigInt(publication), stateHash, epoch: { counter: BigInt(counter), id } };
  return encodeMessage({ case: "heartbeat", value });
}

import type { NodeStatus } from "../../control-plane/sync/fleet.ts";

/** A connected node that serves publication 1, but for what a test says. */
export function nodeStatus(given: Partial<NodeStatus> = {}): NodeStatus {
  return {
    id: "n1",
    hostname: "host1",
    address: "127.0.0.1:50000",
    build: "0.1.0",
    labels: {},
    capabilities: [],
    workerCount: 2,
    isConnected: true,
    connectedAtUnixMs: 0,
    lastSeenAtUnixMs: 0,
    publication: 1,
    revision: 1,
    stateHash: new Uint8Array(),
    upToPublication: 1,
    lag: 0,
    applyDurationMs: 0,
    lastNack: null,
    state: "in_sync",
    stateReason: "",
    lagMs: null,
    epoch: null,
    nackCount: 0,
    figures: null,
    unsupported: [],
    ...given,
  };
}

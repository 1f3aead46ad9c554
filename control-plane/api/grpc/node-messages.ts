import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type NodeSchema, NodeState as NodeStateMessage } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { NodeNackStatus, NodeStatus } from "../../sync/fleet.ts";
import type { NodeFigures } from "../../sync/node-figures.ts";
import type { NodeState } from "../../sync/node-state.ts";

type NodeMessage = MessageInitShape<typeof NodeSchema>;

const states: { readonly [S in NodeState]: NodeStateMessage } = {
  in_sync: NodeStateMessage.IN_SYNC,
  lagging: NodeStateMessage.LAGGING,
  disconnected: NodeStateMessage.DISCONNECTED,
  stale: NodeStateMessage.STALE,
};

/** A node as clients get it, with who vouches for it. */
export function nodeMessage(node: NodeStatus, identities: NodeIdentities): NodeMessage {
  const { epoch, figures, lagMs, lastNack } = node;
  return {
    id: node.id,
    hostname: node.hostname,
    address: node.address,
    build: node.build,
    labels: { ...node.labels },
    connected: node.isConnected,
    connectedAt: timestampFromMs(node.connectedAtUnixMs),
    lastSeenAt: timestampFromMs(node.lastSeenAtUnixMs),
    publication: BigInt(node.publication),
    revision: BigInt(node.revision),
    stateHash: node.stateHash,
    lag: BigInt(node.lag),
    applyDuration: durationOf(node.applyDurationMs),
    workerCount: node.workerCount,
    capabilities: [...node.capabilities],
    certificate: certificateMessage(identities, node.id),
    state: states[node.state],
    stateReason: node.stateReason,
    nackCount: BigInt(node.nackCount),
    unsupported: node.unsupported.map((one) => ({
      ...one,
      entityCount: BigInt(one.entityCount),
      entities: [...one.entities],
    })),
    ...(lastNack === null ? {} : { lastNack: nackMessage(lastNack) }),
    ...(epoch === null ? {} : { epochCounter: BigInt(epoch.counter), epochId: epoch.id }),
    ...(lagMs === null ? {} : { lagTime: durationOf(lagMs) }),
    ...(figures === null ? {} : { figures: figuresMessage(figures) }),
  };
}

/** In whole microseconds; durationFromMs makes fractions of a nanosecond of a fraction, which cannot be encoded. */
function durationOf(ms: number): NonNullable<NodeMessage["applyDuration"]> {
  const us = Math.round(ms * 1e3);
  return { seconds: BigInt(Math.floor(us / 1e6)), nanos: (us % 1e6) * 1e3 };
}

function figuresMessage(figures: NodeFigures): NonNullable<NodeMessage["figures"]> {
  const { atUnixMs, requestCount, failureCount, connectionCount, workers, ...rest } = figures;
  return {
    ...rest,
    at: timestampFromMs(atUnixMs),
    requestCount: BigInt(requestCount),
    failureCount: BigInt(failureCount),
    connectionCount: BigInt(connectionCount),
    workers: workers.map((worker) => ({
      ...worker,
      publication: BigInt(worker.publication),
      requestCount: BigInt(worker.requestCount),
      connectionCount: BigInt(worker.connectionCount),
      heapBytes: BigInt(worker.heapBytes),
    })),
  };
}

function certificateMessage(identities: NodeIdentities, nodeId: string) {
  const certificate = identities.certificateOf(nodeId);
  if (certificate === null) return undefined;
  const { spiffeId, expiresAtUnixMs, labels, revokedAtUnixMs, revokedReason } = certificate;
  return {
    spiffeId,
    expiresAt: expiresAtUnixMs === null ? undefined : timestampFromMs(expiresAtUnixMs),
    labels: { ...labels },
    revokedAt: revokedAtUnixMs === null ? undefined : timestampFromMs(revokedAtUnixMs),
    revokedReason,
  };
}

function nackMessage({ receivedAtUnixMs, ...nack }: NodeNackStatus): NonNullable<NodeMessage["lastNack"]> {
  return {
    ...nack,
    publication: BigInt(nack.publication),
    keptPublication: BigInt(nack.keptPublication),
    receivedAt: timestampFromMs(receivedAtUnixMs),
  };
}

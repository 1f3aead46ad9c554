import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { NodesAPI } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import type { Fleet, NodeNackStatus, NodeStatus } from "../../sync/fleet.ts";
import { defaultPageSize } from "./list-query.ts";
import { toBadRequest } from "./to-connect-error.ts";

/** Says that the rest is a node id, so that a token from elsewhere is recognised. */
const tokenPrefix = "after:";

/** gRPC face of the nodes. */
export function nodesRpc(fleet: Fleet): ServiceImpl<typeof NodesAPI> {
  return {
    listNodes(request) {
      const afterId = afterIdOf(request.pageToken);
      if (afterId === undefined) throw toBadRequest([{ field: "page_token", description: "is not one that we gave" }]);
      const size = request.pageSize || defaultPageSize;
      const rest = fleet.nodes().filter(({ id }) => id > afterId);
      const page = rest.slice(0, size);
      const nextPageToken = rest.length > size ? pageToken(page.at(-1)!.id) : "";
      return { nodes: page.map(nodeMessage), nextPageToken };
    },
  };
}

function pageToken(lastId: string): string {
  return Buffer.from(tokenPrefix + lastId).toString("base64url");
}

/** Id that the page before ended with, "" for the first page; undefined for what is no token of ours. */
function afterIdOf(token: string): string | undefined {
  if (token === "") return "";
  const text = Buffer.from(token, "base64url").toString();
  return text.startsWith(tokenPrefix) ? text.slice(tokenPrefix.length) : undefined;
}

function nodeMessage(node: NodeStatus) {
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
    applyDuration: durationFromMs(node.applyDurationMs),
    lastNack: node.lastNack === null ? undefined : nackMessage(node.lastNack),
    workerCount: node.workerCount,
    capabilities: [...node.capabilities],
  };
}

function nackMessage(nack: NodeNackStatus) {
  return {
    publication: BigInt(nack.publication),
    entityKind: nack.entityKind,
    entityId: nack.entityId,
    entityName: nack.entityName,
    field: nack.field,
    message: nack.message,
    keptPublication: BigInt(nack.keptPublication),
    receivedAt: timestampFromMs(nack.receivedAtUnixMs),
  };
}

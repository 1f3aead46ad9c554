import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { NodesAPI } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { Fleet, NodeNackStatus, NodeStatus } from "../../sync/fleet.ts";
import { defaultPageSize } from "./list-query.ts";
import { toBadRequest } from "./to-connect-error.ts";

/** Says that the rest is a node id, so that a token from elsewhere is recognised. */
const tokenPrefix = "after:";

/** gRPC face of the nodes, and of who they are. */
export function nodesRpc(fleet: Fleet, identities: NodeIdentities): ServiceImpl<typeof NodesAPI> {
  return {
    listNodes(request) {
      const afterId = afterIdOf(request.pageToken);
      if (afterId === undefined) throw toBadRequest([{ field: "page_token", description: "is not one that we gave" }]);
      const size = request.pageSize || defaultPageSize;
      const rest = fleet.nodes().filter(({ id }) => id > afterId);
      const page = rest.slice(0, size);
      const nextPageToken = rest.length > size ? pageToken(page.at(-1)!.id) : "";
      const nodes = page.map((node) => ({
        ...nodeMessage(node),
        certificate: certificateMessage(identities, node.id),
      }));
      return { nodes, nextPageToken };
    },
    async revokeNode({ id, reason }) {
      const revoked = await identities.revoke(id, reason);
      if (!revoked.ok) throw new ConnectError(revoked.problem, Code.FailedPrecondition);
      return { revokedAt: timestampFromMs(revoked.value) };
    },
    async restoreNode({ id }) {
      const outcome = await identities.restore(id);
      if (outcome === "not_revoked") throw new ConnectError(`node ${id} is not revoked`, Code.NotFound);
      if (outcome === "certified_here")
        throw new ConnectError(`node ${id} joins again with a token for its id`, Code.FailedPrecondition);
      return {};
    },
    listNodeRefusals() {
      const refusals = identities.refusals().map(({ firstAtUnixMs, lastAtUnixMs, count, ...entry }) => ({
        ...entry,
        count: BigInt(count),
        firstAt: timestampFromMs(firstAtUnixMs),
        lastAt: timestampFromMs(lastAtUnixMs),
      }));
      return { refusals };
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

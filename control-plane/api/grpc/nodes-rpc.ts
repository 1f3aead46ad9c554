import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { NodesAPI } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { defaultPageSize } from "./list-query.ts";
import { nodeMessage } from "./node-messages.ts";
import { toBadRequest } from "./to-connect-error.ts";
import { watchNodes } from "./watch-nodes-rpc.ts";

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
      return { nodes: page.map((node) => nodeMessage(node, identities)), nextPageToken };
    },
    async *watchNodes({ id }, { signal }) {
      if (id !== "" && !fleet.nodes().some((node) => node.id === id)) throw noSuchNode(id);
      for await (const seen of watchNodes(fleet, id === "" ? null : id, signal)) {
        if (seen === "start-over") yield { isStartOver: true };
        else if ("node" in seen) yield { node: nodeMessage(seen.node, identities) };
        else yield { node: { id: seen.forgottenId }, forgotten: true };
      }
    },
    forgetNode({ id }) {
      const outcome = fleet.forget(id);
      if (outcome === "unknown") throw noSuchNode(id);
      if (outcome === "connected") throw new ConnectError(`node ${id} is connected`, Code.FailedPrecondition);
      return {};
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

function noSuchNode(id: string): ConnectError {
  return new ConnectError(`there is no node ${id}`, Code.NotFound);
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

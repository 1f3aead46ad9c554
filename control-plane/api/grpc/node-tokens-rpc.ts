import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { NodeTokensAPI } from "../../../proto/gen/penstock/admin/v1/node_tokens_pb.ts";
import type { JoinToken } from "../../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import { tokenTtlDefaultMs } from "../../identity/node-tokens.ts";

/** gRPC face of the join tokens. */
export function nodeTokensRpc(identities: NodeIdentities): ServiceImpl<typeof NodeTokensAPI> {
  return {
    async createNodeToken({ ttl, labels, nodeId }) {
      const ttlMs = ttl === undefined ? tokenTtlDefaultMs : durationMs(ttl);
      const made = await identities.makeToken({ ttlMs, labels, nodeId });
      if (!made.ok) throw new ConnectError(made.problem, Code.FailedPrecondition);
      return { nodeToken: tokenMessage(made.value.token), joinToken: made.value.text };
    },
    listNodeTokens() {
      return { nodeTokens: identities.tokens().map(tokenMessage) };
    },
    async deleteNodeToken({ id }) {
      if (!(await identities.removeToken(id))) throw new ConnectError(`there is no join token ${id}`, Code.NotFound);
      return {};
    },
  };
}

/** All of it but the hashes of its secret and of the key that it was used for. */
function tokenMessage({ id, labels, nodeId, createdAt, expiresAt, usedAt, usedBy }: JoinToken) {
  return { id, labels, nodeId, createdAt, expiresAt, usedAt, usedBy };
}

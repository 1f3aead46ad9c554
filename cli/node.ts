import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { NodeTokensAPI } from "../proto/gen/penstock/admin/v1/node_tokens_pb.ts";
import { NodesAPI } from "../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { askControlPlane } from "./ask-control-plane.ts";
import { type NodeCommand, parseNodeOptions } from "./node-options.ts";
import { linesText } from "./printable.ts";

/**
 * `penstock node`: lets data planes join, cuts them off, and shows who was refused. What it prints on stdout is for
 * programs, and what is for people alone goes to stderr.
 * Exit codes: 0 done, 2 for what the user can put right.
 */
export async function node(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  await askControlPlane("node", parseNodeOptions(argv, env), async (command, transport) => {
    process.stdout.write(linesText(await run(command, transport)));
  });
}

async function run(command: NodeCommand, transport: Transport): Promise<readonly string[]> {
  if (command.name === "token") {
    const { ttlMs, labels, nodeId } = command;
    const ttl = ttlMs === null ? {} : { ttl: durationFromMs(ttlMs) };
    const made = await createClient(NodeTokensAPI, transport).createNodeToken({ ...ttl, labels, nodeId });
    const expires = timestampDate(made.nodeToken!.expiresAt!).toISOString();
    process.stderr.write(`For one data plane, once, until ${expires}: PENSTOCK_JOIN_TOKEN=...\n`);
    return [made.joinToken];
  }
  const client = createClient(NodesAPI, transport);
  if (command.name === "revoke") {
    const { revokedAt } = await client.revokeNode({ id: command.nodeId, reason: command.reason });
    return [`node ${command.nodeId} is revoked since ${timestampDate(revokedAt!).toISOString()}`];
  }
  if (command.name === "forget") {
    await client.forgetNode({ id: command.nodeId });
    return [`node ${command.nodeId} is listed no more; if it comes back, it is listed anew`];
  }
  const { refusals } = await client.listNodeRefusals({});
  if (refusals.length === 0) return ["Nobody was refused since the control plane started."];
  return refusals.map(({ lastAt, count, action, address, nodeId, cause }) =>
    [timestampDate(lastAt!).toISOString(), `${count}x`, action, address, nodeId || "-", cause].join("  "),
  );
}

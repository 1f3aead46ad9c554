import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { NodeTokensAPI } from "../proto/gen/penstock/admin/v1/node_tokens_pb.ts";
import { NodesAPI } from "../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { type NodeCommand, parseNodeOptions } from "./node-options.ts";

/**
 * `penstock node`: lets data planes join, cuts them off, and shows who was refused. What it prints on stdout is for
 * programs, and what is for people alone goes to stderr.
 * Exit codes: 0 done, 2 for what the user can put right.
 */
export async function node(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseNodeOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(parsed.lines);
  try {
    process.stdout.write(await run(parsed.command, parsed.adminUrl));
  } catch (error) {
    const failure = ConnectError.from(error);
    refuse([`${parsed.adminUrl}: ${failure.rawMessage || failure.message}`]);
  }
}

async function run(command: NodeCommand, baseUrl: string): Promise<string> {
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1" });
  if (command.name === "token") {
    const { ttlMs, labels, nodeId } = command;
    const ttl = ttlMs === null ? {} : { ttl: durationFromMs(ttlMs) };
    const made = await createClient(NodeTokensAPI, transport).createNodeToken({ ...ttl, labels, nodeId });
    const expires = timestampDate(made.nodeToken!.expiresAt!).toISOString();
    process.stderr.write(`For one data plane, once, until ${expires}: PENSTOCK_JOIN_TOKEN=...\n`);
    return `${made.joinToken}\n`;
  }
  const client = createClient(NodesAPI, transport);
  if (command.name === "revoke") {
    const { revokedAt } = await client.revokeNode({ id: command.nodeId, reason: command.reason });
    return `node ${command.nodeId} is revoked since ${timestampDate(revokedAt!).toISOString()}\n`;
  }
  if (command.name === "forget") {
    await client.forgetNode({ id: command.nodeId });
    return `node ${command.nodeId} is listed no more; if it comes back, it is listed anew\n`;
  }
  const { refusals } = await client.listNodeRefusals({});
  if (refusals.length === 0) return "Nobody was refused since the control plane started.\n";
  const rows = refusals.map(({ lastAt, count, action, address, nodeId, cause }) =>
    [timestampDate(lastAt!).toISOString(), `${count}x`, action, address, nodeId || "-", cause].join("  "),
  );
  return `${rows.join("\n")}\n`;
}

function refuse(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`penstock node: ${line}\n`);
  process.exitCode = 2;
}

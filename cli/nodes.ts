import { toJson } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type Node, NodeSchema, NodesAPI } from "../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { failureText } from "./failure-text.ts";
import { type ScreenLine, showLivePage } from "./live-screen.ts";
import { type NodesOptions, parseNodesOptions } from "./nodes-options.ts";
import { needsCare, nodePage, nodesTable } from "./nodes-table.ts";
import { jsonText, linesText } from "./printable.ts";
import { refuse } from "./refuse.ts";
import { untilStopped } from "./until-stopped.ts";

/**
 * `penstock nodes`: what the data planes serve and how they do, as a table, a page or as JSON.
 * Exit codes: 0 all is well, 1 a node needs care, 2 for what the user can put right.
 */
export async function nodes(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseNodesOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse("nodes", parsed.lines);
  const { options } = parsed;
  const transport = createConnectTransport({ baseUrl: options.adminUrl, httpVersion: "1.1" });
  const client = createClient(NodesAPI, transport);
  const signal = untilStopped();
  const isScreen = process.stdout.isTTY === true && env["TERM"] !== "dumb" && !options.isJson;
  try {
    if (!options.isWatching) await showOnce(client, options, signal);
    else if (isScreen) await showOnScreen(client, options, signal, !env["NO_COLOR"]);
    else await showChanges(client, options, signal);
  } catch (error) {
    if (!signal.aborted) refuse("nodes", [failureText(error, options.adminUrl, null)]);
  }
}

async function showOnce(client: Client<typeof NodesAPI>, options: NodesOptions, signal: AbortSignal): Promise<void> {
  const found: Node[] = [];
  // The call goes on for ever by itself, and the process with it.
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  try {
    for await (const { node, isStartOver } of client.watchNodes({ id: options.nodeId ?? "" }, { signal: either })) {
      if (isStartOver) break;
      if (node !== undefined) found.push(node);
    }
  } finally {
    enough.abort();
  }
  if (options.isJson) print(jsonText(options.nodeId === null ? found.map(jsonOf) : jsonOf(found[0]!), 2));
  else print(linesText(found.length === 0 ? ["No data plane has connected yet."] : linesOf(found, options)));
  process.exitCode = found.some(needsCare) ? 1 : 0;
}

/** Prints what there is and then each node that changes. */
async function showChanges(client: Client<typeof NodesAPI>, options: NodesOptions, signal: AbortSignal): Promise<void> {
  for await (const { node, forgotten } of client.watchNodes({ id: options.nodeId ?? "" }, { signal })) {
    if (node === undefined) continue;
    if (options.isJson) print(jsonText({ forgotten, ...jsonOf(node) }));
    else print(linesText([...(forgotten ? [`${node.id} is listed no more.`] : linesOf([node], options)), ""]));
  }
}

/** Draws all of it again whenever something changes. */
async function showOnScreen(
  client: Client<typeof NodesAPI>,
  options: NodesOptions,
  signal: AbortSignal,
  isColoured: boolean,
): Promise<void> {
  const known = new Map<string, Node>();
  const all = () => [...known.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
  const page = {
    isColoured,
    heading: () => `penstock nodes  ${options.adminUrl}  ${new Date().toLocaleTimeString()}  nodes: ${known.size}`,
    lines: () => screenLines(all(), options),
  };
  await showLivePage(page, async (_draw, drawSoon) => {
    for await (const { node, forgotten } of client.watchNodes({ id: options.nodeId ?? "" }, { signal })) {
      if (node === undefined) continue;
      if (forgotten) known.delete(node.id);
      else known.set(node.id, node);
      drawSoon();
    }
  });
}

function screenLines(all: readonly Node[], options: NodesOptions): readonly ScreenLine[] {
  const [title = "", ...rest] = linesOf(all, options);
  return [
    { text: title, isHeading: false, isUnhealthy: false },
    ...rest.map((text, i) => ({
      text,
      isHeading: false,
      isUnhealthy: options.nodeId === null && all[i] !== undefined && needsCare(all[i]),
    })),
  ];
}

function linesOf(all: readonly Node[], { nodeId }: NodesOptions): readonly string[] {
  if (nodeId === null) return nodesTable(all, Date.now());
  return all.flatMap((node) => nodePage(node, Date.now()));
}

function jsonOf(node: Node) {
  return toJson(NodeSchema, node, { alwaysEmitImplicit: true }) as Record<string, unknown>;
}

function print(text: string): void {
  process.stdout.write(text);
}

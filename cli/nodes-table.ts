import { durationMs, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Node, type NodeFigures, NodeState } from "../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { oneLine } from "./printable.ts";
import { textTable } from "./text-table.ts";

const columns = "NODE,HOST,STATE,PUBLICATION,BEHIND,REQ/S,ERR %,HEALTHY,CERT,BUILD,LAST REFUSAL".split(",");

/** Longest reason in a table; the whole of it is in the page of the node, and in the JSON. */
const reasonMaxLength = 60;

/** A certificate that ends this soon was not renewed at two thirds of its life. */
const hourMs = 3_600_000;

const stateTexts: ReadonlyMap<NodeState, string> = new Map<NodeState, string>([
  [NodeState.IN_SYNC, "in sync"],
  [NodeState.LAGGING, "lagging"],
  [NodeState.DISCONNECTED, "away"],
  [NodeState.STALE, "stale"],
]);

/** A number is a state of a later version. */
function stateText(state: NodeState): string {
  return stateTexts.get(state) ?? String(state);
}

/** Whether an operator has something to do about it. */
export function needsCare({ state, lastNack, publication, lag, unsupported }: Node): boolean {
  const refusesNewest = lastNack !== undefined && lastNack.publication === publication + lag && lag > 0n;
  return state === NodeState.STALE || state === NodeState.DISCONNECTED || refusesNewest || unsupported.length > 0;
}

/** A line of each node. @param nowUnixMs for what is told as a time from now */
export function nodesTable(nodes: readonly Node[], nowUnixMs: number): readonly string[] {
  return textTable([columns, ...nodes.map((node) => row(node, nowUnixMs))]);
}

function row(node: Node, nowUnixMs: number): readonly string[] {
  const { figures, lastNack } = node;
  return [
    oneLine(node.id, 36),
    oneLine(node.hostname, 24),
    `${stateText(node.state)}${node.unsupported.length > 0 ? ", too old" : ""}`,
    String(node.publication),
    behindText(node),
    figures === undefined ? "" : figures.requestsPerSecond.toFixed(1),
    figures === undefined ? "" : (100 * figures.errorRatio).toFixed(1),
    figures === undefined ? "" : `${figures.healthyEndpointCount} of ${figures.endpointCount}`,
    certificateText(node, nowUnixMs),
    oneLine(node.build, 16),
    lastNack === undefined ? "" : oneLine(refusalText(lastNack), reasonMaxLength),
  ];
}

function behindText({ lag, lagTime }: Node): string {
  if (lagTime === undefined) return "-";
  return `${lag} (${timeText(durationMs(lagTime))})`;
}

function certificateText({ certificate }: Node, nowUnixMs: number): string {
  if (certificate === undefined) return "none";
  if (certificate.revokedAt !== undefined) return "revoked";
  if (certificate.expiresAt === undefined) return "";
  const leftMs = timestampMs(certificate.expiresAt) - nowUnixMs;
  if (leftMs <= 0) return "expired";
  return leftMs < hourMs ? `${timeText(leftMs)}!` : timeText(leftMs);
}

function refusalText({ publication, entityKind, entityName, entityId, field, message }: NonNullable<Node["lastNack"]>) {
  const entity = entityKind === "" ? "" : ` ${entityKind} ${entityName || entityId}${field === "" ? "" : ` ${field}`}`;
  return `${publication}:${entity} ${message}`;
}

/** All that is known of a node, a line each. */
export function nodePage(node: Node, nowUnixMs: number): readonly string[] {
  const { lastNack, figures, certificate } = node;
  const since = (at: Node["connectedAt"]) => (at === undefined ? "" : timestampDate(at).toISOString());
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  const facts: readonly (readonly [string, string])[] = [
    ["node", node.id],
    ["host", `${node.hostname} (${node.address})`],
    ["build", node.build],
    ["labels", labels.join(",") || "none"],
    ["state", `${stateText(node.state)}${node.stateReason === "" ? "" : `: ${node.stateReason}`}`],
    [node.connected ? "connected since" : "last heard of", since(node.connected ? node.connectedAt : node.lastSeenAt)],
    ["serves", servesText(node)],
    ["behind", behindText(node)],
    ["applied in", node.applyDuration === undefined ? "" : `${Math.round(durationMs(node.applyDuration))} ms`],
    ["refused", `${node.nackCount} publications`],
    ["last refusal", lastNack === undefined ? "none" : `${refusalText(lastNack)} (${since(lastNack.receivedAt)})`],
    ["certificate", `${certificateText(node, nowUnixMs)} ${certificate?.spiffeId ?? ""}`.trim()],
    ...(figures === undefined ? [] : figuresLines(figures)),
    ...node.unsupported.map(unsupportedLine),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts.map(([name, text]) => `${name.padEnd(width)}  ${oneLine(text, 1_000)}`);
  return [...lines, ...workerLines(figures)];
}

function servesText({ publication, revision, epochCounter, stateHash }: Node): string {
  if (publication === 0n && stateHash.length === 0) return "nothing";
  const hash = Buffer.from(stateHash).toString("hex").slice(0, 16);
  return `publication ${publication}, revision ${revision}, epoch ${epochCounter}, hash ${hash}...`;
}

function figuresLines(figures: NodeFigures): readonly (readonly [string, string])[] {
  const { requestsPerSecond, errorRatio, requestCount, failureCount, connectionCount } = figures;
  const errors = `${(100 * errorRatio).toFixed(1)} % failed`;
  return [
    [
      "traffic",
      `${requestsPerSecond.toFixed(1)} requests/s, ${errors}; ${requestCount} requests, ${failureCount} failed`,
    ],
    ["connections", String(connectionCount)],
    ["endpoints", `${figures.healthyEndpointCount} of ${figures.endpointCount} healthy`],
  ];
}

function unsupportedLine({ capability, feature, entityCount, entities }: Node["unsupported"][number]) {
  const named = entities.slice(0, 5).map(({ kind, name, id, field }) => `${kind} ${name || id} ${field}`.trim());
  const more = entityCount > BigInt(named.length) ? `, and ${entityCount - BigInt(named.length)} more` : "";
  return ["too old for", `${feature} (${capability}): ${named.join(", ")}${more}`] as const;
}

function workerLines(figures: NodeFigures | undefined): readonly string[] {
  if (figures === undefined || figures.workers.length === 0) return [];
  const rows = figures.workers.map((worker) => [
    String(worker.number),
    oneLine(worker.role, 16),
    String(worker.publication),
    String(worker.requestCount),
    String(worker.connectionCount),
    `${Math.round(Number(worker.heapBytes) / 2 ** 20)} MiB`,
  ]);
  return ["", ...textTable([["WORKER", "ROLE", "PUBLICATION", "REQUESTS", "CONNECTIONS", "HEAP"], ...rows])];
}

/** One unit, as large as it can be. */
function timeText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

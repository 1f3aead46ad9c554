import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { UnsupportedFeature } from "../../snapshot/version-skew.ts";
import type { Fleet, NodeNackStatus, NodeStatus } from "../../sync/fleet.ts";
import type { NodeFigures } from "../../sync/node-figures.ts";
import { pageAnswer, parseListQuery } from "./list-query.ts";
import type { JsonObject } from "./print-resource.ts";
import { problemAnswer } from "./problem-answer.ts";
import { type Answer, type Endpoint, messageAnswer, notFoundAnswer } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

/** How long Kong keeps the row of a node that is gone; printed as `ttl`, counted from its last sign of life. */
const rowLifetimeSeconds = 14 * 24 * 60 * 60;

/** What the nodes hold and how they do, in Kong's paths and in one of our own. */
export function nodeRoutes(
  fleet: Fleet,
  identities: NodeIdentities,
  unixMs: () => number,
): Readonly<Record<string, RestRoute>> {
  return {
    "/clustering/data-planes": { GET: nodesRest(fleet, identities, unixMs) },
    "/clustering/status": { GET: () => clusterStatus(fleet) },
    "/nodes/:key/forget": { POST: ({ params }) => forget(fleet, params["key"] ?? "") },
  };
}

/** Kong's older form of the same, for clients that still ask for it. */
function clusterStatus(fleet: Fleet): Answer {
  const rows = fleet.nodes().map((node) => [node.id, pick(printNode(node, 0))] as const);
  return { status: 200, headers: { Deprecation: "true" }, body: Object.fromEntries(rows) };
}

function pick({ config_hash, hostname, ip, last_seen }: JsonObject): JsonObject {
  return { config_hash, hostname, ip, last_seen } as JsonObject;
}

function forget(fleet: Fleet, nodeId: string): Answer {
  const outcome = fleet.forget(nodeId);
  if (outcome === "unknown") return notFoundAnswer;
  return outcome === "forgotten" ? { status: 204 } : messageAnswer(409, `node ${nodeId} is connected`);
}

/** `GET /clustering/data-planes`: Kong's row of each node, and beside it what it holds, last refused, and how it does. */
function nodesRest(fleet: Fleet, identities: NodeIdentities, unixMs: () => number): Endpoint {
  return (request): Answer => {
    const parsed = parseListQuery(request.query);
    if (!parsed.ok) return parsed.answer;
    const { size, pageToken } = parsed.query;
    const after = pageToken === undefined ? "" : nodeIdOf(pageToken);
    if (after === null) return invalidOffsetAnswer(pageToken!);
    const nodes = fleet.nodes().filter((node) => node.id > after);
    const rows = nodes.slice(0, size);
    const last = rows.at(-1);
    const next = nodes.length > size && last !== undefined ? tokenOf(last.id) : undefined;
    return pageAnswer(
      request.path,
      request.query,
      rows.map((node) => ({ ...printNode(node, unixMs()), ...printCertificate(identities, node.id) })),
      next,
    );
  };
}

function printNode(node: NodeStatus, nowUnixMs: number): JsonObject {
  const lastSeen = Math.floor(node.lastSeenAtUnixMs / 1000);
  return {
    id: node.id,
    ip: node.address.replace(/:\d+$/, ""),
    hostname: node.hostname,
    version: node.build,
    config_hash: configHash(node.stateHash),
    last_seen: lastSeen,
    sync_status: node.stateHash.length === 0 ? "unknown" : "normal",
    labels: node.labels,
    rpc_capabilities: node.capabilities,
    updated_at: lastSeen,
    ttl: Math.max(0, rowLifetimeSeconds - Math.floor((nowUnixMs - node.lastSeenAtUnixMs) / 1000)),
    connected: node.isConnected,
    revision: node.revision,
    publication: node.publication,
    lag: node.lag,
    workers: node.workerCount,
    apply_duration_ms: node.applyDurationMs,
    last_nack: node.lastNack === null ? null : printNack(node.lastNack),
    nacks: node.nackCount,
    state: node.state,
    state_reason: node.stateReason,
    lag_seconds: node.lagMs === null ? 0 : Math.floor(node.lagMs / 1000),
    connected_since: node.isConnected ? Math.floor(node.connectedAtUnixMs / 1000) : null,
    epoch: node.epoch === null ? null : { counter: node.epoch.counter, id: hex(node.epoch.id) },
    state_hash: hex(node.stateHash),
    figures: node.figures === null ? null : printFigures(node.figures),
    unsupported: node.unsupported.map(printUnsupported),
  };
}

function printFigures(figures: NodeFigures): JsonObject {
  return {
    at: Math.floor(figures.atUnixMs / 1000),
    requests_per_second: figures.requestsPerSecond,
    error_ratio: figures.errorRatio,
    requests: figures.requestCount,
    failures: figures.failureCount,
    connections: figures.connectionCount,
    endpoints: figures.endpointCount,
    healthy_endpoints: figures.healthyEndpointCount,
    workers: figures.workers.map((worker) => ({
      number: worker.number,
      role: worker.role,
      publication: worker.publication,
      requests: worker.requestCount,
      connections: worker.connectionCount,
      heap_bytes: worker.heapBytes,
    })),
  };
}

function printUnsupported({ capability, feature, entityCount, entities }: UnsupportedFeature): JsonObject {
  return { capability, feature, entity_count: entityCount, entities: entities.map((entity) => ({ ...entity })) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Kong shows when a certificate expires; the rest is ours. */
function printCertificate(identities: NodeIdentities, nodeId: string): JsonObject {
  const certificate = identities.certificateOf(nodeId);
  if (certificate === null) return { cert_details: {} };
  const { spiffeId, expiresAtUnixMs, labels, revokedAtUnixMs, revokedReason } = certificate;
  const seconds = (unixMs: number | null) => (unixMs === null ? null : Math.floor(unixMs / 1000));
  return {
    cert_details: expiresAtUnixMs === null ? {} : { expiry_timestamp: seconds(expiresAtUnixMs), spiffe_id: spiffeId },
    joined_labels: labels,
    revoked_at: seconds(revokedAtUnixMs),
    revoked_reason: revokedAtUnixMs === null ? null : revokedReason,
  };
}

function printNack(nack: NodeNackStatus): JsonObject {
  return {
    publication: nack.publication,
    kept_publication: nack.keptPublication,
    reason: nack.reason,
    message: nack.message,
    entity_kind: nack.entityKind,
    entity_id: nack.entityId,
    entity_name: nack.entityName,
    field: nack.field,
    received_at: Math.floor(nack.receivedAtUnixMs / 1000),
  };
}

/** Kong's hash has 32 digits, zeros when a node serves nothing; ours is longer, and its start tells states apart. */
function configHash(stateHash: Uint8Array): string {
  return Buffer.from(stateHash).toString("hex").slice(0, 32).padEnd(32, "0");
}

function tokenOf(nodeId: string): string {
  return Buffer.from(nodeId).toString("base64url");
}

/** Null when the token is not one of ours. */
function nodeIdOf(token: string): string | null {
  const nodeId = Buffer.from(token, "base64url").toString();
  return tokenOf(nodeId) === token ? nodeId : null;
}

function invalidOffsetAnswer(offset: string): Answer {
  const message = `'${offset}' is not a valid offset: bad base64 encoding`;
  return problemAnswer("upstream", [{ code: "invalid_page_token", field: "page_token", message }]);
}

import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JoinToken } from "../../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import { tokenTtlDefaultMs, tokenTtlMaxMs } from "../../identity/node-tokens.ts";
import { parseDuration } from "./parse-duration.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, messageAnswer, notFoundAnswer, type RestBody, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const nodeIdForm = /^[!-~]{1,128}$/;
const reasonMaxLength = 256;
const labelsMaxCount = 64;

/** Paths of our own: join tokens, who is cut off, and who was refused. JSON only, and times in ISO 8601. */
export function nodeIdentityRoutes(identities: NodeIdentities): Readonly<Record<string, RestRoute>> {
  return {
    "/node-tokens": {
      GET: () => ({ status: 200, body: { data: identities.tokens().map(printToken) } }),
      POST: (request) => createToken(identities, request),
    },
    "/node-tokens/:key": { DELETE: (request) => deleteToken(identities, request) },
    "/nodes/:key/revoke": { POST: (request) => revoke(identities, request) },
    "/nodes/:key/restore": { POST: (request) => restore(identities, request) },
    "/node-refusals": { GET: () => ({ status: 200, body: { data: identities.refusals().map(printRefusal) } }) },
  };
}

async function createToken(identities: NodeIdentities, request: RestRequest): Promise<Answer> {
  const fields = fieldsOf(request.body);
  if (fields === null) return messageAnswer(415, "Content-Type must be application/json");
  const { ttl, labels = {}, node_id: nodeId = "", ...unknown } = fields;
  const problems: Record<string, string> = {};
  for (const name of Object.keys(unknown)) problems[name] = "unknown field";
  const ttlMs = ttl === undefined ? tokenTtlDefaultMs : typeof ttl === "string" ? parseDuration(ttl) : Number.NaN;
  if (!(ttlMs >= 1_000 && ttlMs <= tokenTtlMaxMs))
    problems["ttl"] = "expected a time such as 30m or 2h, from 1s to 720h";
  if (!areLabels(labels)) problems["labels"] = `expected at most ${labelsMaxCount} names with texts`;
  if (typeof nodeId !== "string" || (nodeId !== "" && !uuid.test(nodeId)))
    problems["node_id"] = "expected a lower-case uuid";
  if (Object.keys(problems).length > 0)
    return { status: 400, body: { message: "schema violation", name: "schema violation", fields: problems } };
  const made = await identities.makeToken({
    ttlMs,
    labels: labels as Record<string, string>,
    nodeId: nodeId as string,
  });
  if (!made.ok) return messageAnswer(409, made.problem);
  return { status: 201, body: { ...printToken(made.value.token), join_token: made.value.text } };
}

async function deleteToken(identities: NodeIdentities, { params }: RestRequest): Promise<Answer> {
  return (await identities.removeToken(params["key"] ?? "")) ? { status: 204 } : notFoundAnswer;
}

async function revoke(identities: NodeIdentities, { params, body }: RestRequest): Promise<Answer> {
  const fields = fieldsOf(body);
  if (fields === null) return messageAnswer(415, "Content-Type must be application/json");
  const nodeId = params["key"] ?? "";
  const { reason = "" } = fields;
  if (!nodeIdForm.test(nodeId)) return messageAnswer(400, "a node id is 1 to 128 printable ASCII characters");
  if (typeof reason !== "string" || reason.length > reasonMaxLength)
    return messageAnswer(400, `reason: expected at most ${reasonMaxLength} characters`);
  const revoked = await identities.revoke(nodeId, reason);
  if (!revoked.ok) return messageAnswer(409, revoked.problem);
  return { status: 200, body: { id: nodeId, revoked_at: isoTime(revoked.value) } };
}

async function restore(identities: NodeIdentities, { params }: RestRequest): Promise<Answer> {
  const nodeId = params["key"] ?? "";
  const outcome = await identities.restore(nodeId);
  if (outcome === "not_revoked") return messageAnswer(404, `node ${nodeId} is not revoked`);
  if (outcome === "certified_here") return messageAnswer(409, `node ${nodeId} joins again with a token for its id`);
  return { status: 204 };
}

/** The fields of a JSON body; none without a body, null for a form. */
function fieldsOf(body: RestBody): Readonly<Record<string, unknown>> | null {
  if (body.type === "form") return null;
  return body.type === "json" ? body.json : {};
}

function areLabels(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= labelsMaxCount &&
    entries.every(
      ([name, text]) => /^[A-Za-z0-9._/-]{1,63}$/.test(name) && typeof text === "string" && text.length <= 255,
    )
  );
}

function printToken({ id, labels, nodeId, createdAt, expiresAt, usedAt, usedBy }: JoinToken): JsonObject {
  return {
    id,
    labels,
    node_id: nodeId === "" ? null : nodeId,
    created_at: isoTime(timestampMs(createdAt!)),
    expires_at: isoTime(timestampMs(expiresAt!)),
    used_at: usedAt === undefined ? null : isoTime(timestampMs(usedAt)),
    used_by: usedBy === "" ? null : usedBy,
  };
}

function printRefusal(entry: ReturnType<NodeIdentities["refusals"]>[number]): JsonObject {
  return {
    action: entry.action,
    address: entry.address,
    node_id: entry.nodeId === "" ? null : entry.nodeId,
    token_id: entry.tokenId === "" ? null : entry.tokenId,
    cause: entry.cause,
    count: entry.count,
    first_at: isoTime(entry.firstAtUnixMs),
    last_at: isoTime(entry.lastAtUnixMs),
  };
}

function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

import type { Admin } from "../../admin/resource-admin.ts";
import type { Fleet, NodeAnswer } from "../../sync/fleet.ts";
import { formToJson } from "./form-to-json.ts";
import { kongShapes } from "./kong-shape.ts";
import { parseDuration } from "./parse-duration.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, type Endpoint, messageAnswer, type RestRequest } from "./rest-answer.ts";

const drainMaxMs = 60 * 60 * 1_000;

const needsWeight0 = "drain needs weight 0 in the body: with any other weight the target gets new requests";

/** Time beyond the drain's for a node's answer to come back. */
const answerGraceMs = 2_000;

/** What waiting for a drain needs beside the write that it follows. */
export interface DrainFace {
  readonly admin: Pick<Admin, "target">;
  readonly fleet: Fleet;
  readonly clock: { monotonicMs(): number };
}

/** A node on which requests are under way, or which cannot tell. */
interface Unfinished {
  readonly node_id: string;
  readonly hostname: string;
  readonly in_flight: number | null;
  readonly problem: string | null;
}

/**
 * A write that takes a target out of use, with `?drain=30s&wait=true` beside what it can do anyway: it is then answered
 * when no node has a request under way at the target any more, or with 504 when the time is over. The write stands
 * either way: the target gets no new requests from its publication on.
 */
export function drainingRest(face: DrainFace, operation: "remove" | "update", write: Endpoint): Endpoint {
  return async (request) => {
    const drain = request.query.get("drain");
    if (drain === null) return write(request);
    const drainMs = parseDuration(drain);
    const problem = drainProblem(request, drainMs) ?? (operation === "update" ? weightProblem(request) : null);
    if (problem !== null) return messageAnswer(400, problem);
    const { parent = "", key = "" } = request.params;
    const before = face.admin.target.get({ key, parent });
    const startMs = face.clock.monotonicMs();
    const answer = await write({ ...request, query: new URLSearchParams({ wait: "none" }) });
    const revision = Number(answer.headers?.["Penstock-Revision"]);
    // Refused, or another client was faster.
    if (!before.ok || answer.status >= 300 || !Number.isSafeInteger(revision)) return answer;
    const applied = await face.fleet.waitForRevision(revision, { who: "all", timeoutMs: drainMs });
    // Of a change that most nodes do not have yet, nothing can be said of what it ends.
    if (applied.heldBack !== undefined)
      return { ...answer, headers: { ...answer.headers, "Penstock-Rollout": applied.heldBack } };
    const timeoutMs = Math.max(1, Math.ceil(drainMs - (face.clock.monotonicMs() - startMs)));
    const question = { upstreamId: before.value.upstream?.id ?? "", target: before.value.target, timeoutMs };
    const answers = await face.fleet.ask({
      kind: "drained",
      body: Buffer.from(JSON.stringify(question)),
      revision,
      timeoutMs: timeoutMs + answerGraceMs,
    });
    const unfinished = answers.flatMap(unfinishedOf);
    const headers = {
      ...answer.headers,
      "Penstock-Applied": `${applied.appliedCount}/${applied.nodeCount}`,
      "Penstock-Drained": `${answers.length - unfinished.length}/${answers.length}`,
    };
    return unfinished.length === 0 ? { ...answer, headers } : timedOut(drain, headers, unfinished);
  };
}

function drainProblem({ query }: RestRequest, drainMs: number): string | null {
  if (!(drainMs > 0 && drainMs <= drainMaxMs)) return "drain must be a time from 1ms to 60m, such as 500ms, 30s or 2m";
  if (query.get("wait") !== "true") return "drain needs wait=true: nothing but the wait depends on it";
  if (query.has("timeout")) return "drain is the timeout; leave timeout out";
  return null;
}

/** Only a target that gets no requests any more can run dry. */
function weightProblem({ body }: RestRequest): string | null {
  if (body.type === "none") return needsWeight0;
  const json = body.type === "json" ? body.json : formToJson(body.form, kongShapes.target);
  return json["weight"] === 0 ? null : needsWeight0;
}

function unfinishedOf({ nodeId, hostname, answered }: NodeAnswer): readonly Unfinished[] {
  const inFlight = answered.ok ? inFlightOf(answered.body) : null;
  if (inFlight === 0) return [];
  const problem = answered.ok ? (inFlight === null ? "its answer is none" : null) : answered.problem;
  return [{ node_id: nodeId, hostname, in_flight: inFlight, problem }];
}

/** Null for what is no answer. */
function inFlightOf(body: Uint8Array): number | null {
  try {
    const { inFlight } = JSON.parse(Buffer.from(body).toString()) as { readonly inFlight?: unknown };
    return Number.isSafeInteger(inFlight) && (inFlight as number) >= 0 ? (inFlight as number) : null;
  } catch {
    return null;
  }
}

function timedOut(drain: string, headers: NonNullable<Answer["headers"]>, nodes: readonly Unfinished[]): Answer {
  const body: JsonObject = {
    message: `the target gets no new requests, but after ${drain} not every node says that all old ones have ended`,
    nodes,
  };
  return { status: 504, headers, body };
}

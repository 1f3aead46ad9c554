import { drainMaxMs, drainNeedsWeight0, drainTarget, notDrained, type Unfinished } from "../../admin/drain-target.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { formToJson } from "./form-to-json.ts";
import { kongShapes } from "./kong-shape.ts";
import { parseDuration } from "./parse-duration.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, type Endpoint, messageAnswer, type RestRequest } from "./rest-answer.ts";

/** What waiting for a drain needs beside the write that it follows. */
export interface DrainFace {
  readonly admin: Pick<Admin, "target">;
  readonly fleet: Fleet;
  readonly clock: { monotonicMs(): number };
}

/**
 * A write that takes a target out of use, with `?drain=30s&wait=true` beside what it can do anyway: it is then answered
 * when no node has a request under way at the target any more, or with 504 when the time is over. The write stands
 * either way: the target gets no new requests from its publication on. A client that leaves ends the wait.
 * Errors: rejects with the reason of the request's signal.
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
    const { upstream, target } = before.value;
    const written = { revision, upstreamId: upstream?.id ?? "", target, drainMs, startMs };
    const drained = await drainTarget(face.fleet, face.clock, written, request.signal);
    if (drained.isHeldBack) return { ...answer, headers: { ...answer.headers, "Penstock-Rollout": drained.heldBack } };
    const { applied, askedCount, unfinished } = drained;
    const headers = {
      ...answer.headers,
      "Penstock-Applied": `${applied.appliedCount}/${applied.nodeCount}`,
      "Penstock-Drained": `${askedCount - unfinished.length}/${askedCount}`,
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
  if (body.type === "none") return drainNeedsWeight0;
  const json = body.type === "json" ? body.json : formToJson(body.form, kongShapes.target);
  return json["weight"] === 0 ? null : drainNeedsWeight0;
}

function timedOut(drain: string, headers: NonNullable<Answer["headers"]>, nodes: readonly Unfinished[]): Answer {
  const body: JsonObject = {
    message: notDrained(drain),
    nodes: nodes.map(({ nodeId, hostname, inFlight, problem }) => ({
      ...{ node_id: nodeId, hostname, in_flight: inFlight, problem },
    })),
  };
  return { status: 504, headers, body };
}

import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  RolloutMode,
  type RolloutPolicy,
  RolloutPolicySchema,
  type RolloutStage,
  RolloutStageSchema,
} from "../../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { RolloutAdmin } from "../../rollout/rollout-admin.ts";
import type { Commanded } from "../../rollout/rollouts.ts";
import { parseDuration } from "./parse-duration.ts";
import { printPolicy, printRollout } from "./print-rollout.ts";
import { type Answer, messageAnswer, type RestBody, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";

const reasonMaxLength = 256;

/** Paths of our own: how changes reach the fleet. JSON only, times in ISO 8601. */
export function rolloutRoutes(rollouts: RolloutAdmin): Readonly<Record<string, RestRoute>> {
  const answerOf = (commanded: Commanded): Answer =>
    commanded.ok ? { status: 200, body: printRollout(rollouts.status()) } : messageAnswer(409, commanded.problem);
  return {
    "/rollout": { GET: () => ({ status: 200, body: printRollout(rollouts.status()) }) },
    "/rollout/policy": {
      GET: () => ({ status: 200, body: printPolicy(rollouts.policy) }),
      PUT: (request) => setPolicy(rollouts, request),
    },
    "/rollout/pause": { POST: async () => answerOf(await rollouts.pause()) },
    "/rollout/resume": { POST: async () => answerOf(await rollouts.resume()) },
    "/rollout/promote": { POST: async () => answerOf(await rollouts.promote()) },
    "/rollout/abort": {
      POST: async ({ body }) => {
        const reason = fieldsOf(body)?.["reason"] ?? "";
        if (typeof reason !== "string" || reason.length > reasonMaxLength)
          return messageAnswer(400, `reason: expected at most ${reasonMaxLength} characters`);
        return answerOf(await rollouts.abort(reason));
      },
    },
  };
}

async function setPolicy(rollouts: RolloutAdmin, { body }: RestRequest): Promise<Answer> {
  const fields = fieldsOf(body);
  if (fields === null) return messageAnswer(415, "Content-Type must be application/json");
  const problems: Record<string, string> = {};
  const policy = readPolicy(fields, problems);
  if (Object.keys(problems).length > 0) return schemaViolation(problems);
  const set = await rollouts.setPolicy(policy);
  if (!set.ok) return schemaViolation(Object.fromEntries(set.problems.map(({ field, message }) => [field, message])));
  return { status: 200, body: printPolicy(set.value) };
}

function readPolicy(fields: Readonly<Record<string, unknown>>, problems: Record<string, string>): RolloutPolicy {
  const { mode, stages, soak, apply_timeout, error_share_tolerance, request_min_count, ...unknown } = fields;
  for (const name of Object.keys(unknown)) problems[name] = "unknown field";
  const time = (name: string, value: unknown) => {
    if (value === undefined) return {};
    const ms = typeof value === "string" ? parseDuration(value) : Number.NaN;
    if (Number.isNaN(ms)) problems[name] = "expected a time such as 500ms, 30s or 2m";
    return Number.isNaN(ms) ? {} : { time: durationFromMs(ms) };
  };
  const number = (name: string, value: unknown) => {
    if (value === undefined || typeof value === "number") return value;
    problems[name] = "expected a number";
    return undefined;
  };
  const [soakTime, applyTime] = [time("soak", soak).time, time("apply_timeout", apply_timeout).time];
  const tolerance = number("error_share_tolerance", error_share_tolerance);
  const minCount = number("request_min_count", request_min_count);
  if (minCount !== undefined && !Number.isSafeInteger(minCount))
    problems["request_min_count"] = "expected a whole number";
  if (mode !== undefined && mode !== "immediate" && mode !== "staged")
    problems["mode"] = "expected immediate or staged";
  return create(RolloutPolicySchema, {
    mode: mode === "staged" ? RolloutMode.STAGED : RolloutMode.IMMEDIATE,
    stages: readStages(stages, problems),
    ...(soakTime === undefined ? {} : { soak: soakTime }),
    ...(applyTime === undefined ? {} : { applyTimeout: applyTime }),
    ...(tolerance === undefined ? {} : { errorShareTolerance: tolerance }),
    ...(Number.isSafeInteger(minCount) ? { requestMinCount: BigInt(minCount!) } : {}),
  });
}

/** None given: the defaults. */
function readStages(stages: unknown, problems: Record<string, string>): RolloutStage[] {
  if (stages === undefined) return [];
  if (!Array.isArray(stages)) {
    problems["stages"] = "expected a list";
    return [];
  }
  return stages.map((stage: unknown, i) => {
    const { node_count = 0, percent = 0, ...unknown } = (stage ?? {}) as Readonly<Record<string, unknown>>;
    const isSound = Number.isInteger(node_count) && Number.isInteger(percent) && Object.keys(unknown).length === 0;
    if (!isSound) problems[`stages.${i}`] = "expected node_count, percent or both, each a whole number";
    return create(RolloutStageSchema, isSound ? { nodeCount: Number(node_count), percent: Number(percent) } : {});
  });
}

function schemaViolation(fields: Readonly<Record<string, string>>): Answer {
  return { status: 400, body: { message: "schema violation", name: "schema violation", fields } };
}

/** The fields of a JSON body; none without a body, null for a form. */
function fieldsOf(body: RestBody): Readonly<Record<string, unknown>> | null {
  if (body.type === "form") return null;
  return body.type === "json" ? body.json : {};
}

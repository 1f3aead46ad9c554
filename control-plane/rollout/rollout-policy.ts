import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import {
  RolloutMode,
  type RolloutPolicy,
  RolloutPolicySchema,
  type RolloutStage,
  RolloutStageSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Checked, Problem } from "../resource/checked.ts";
import { invalid } from "../resource/problems.ts";

/** There is one; two that are made at once collide. */
export const rolloutPolicyId = "00000000-0000-4000-8000-000000000003";

const soakDefaultMs = 60_000;
const applyTimeoutDefaultMs = 120_000;
const errorShareToleranceDefault = 0.01;
const requestMinCountDefault = 50n;
const stagesMax = 20;
const timeMinMs = 100;
const timeMaxMs = 7 * 86_400_000;
const nodeCountMax = 100_000;

/** A policy with what it leaves out. Without any: every change reaches every node at once. */
export function completePolicy(policy: RolloutPolicy | undefined): RolloutPolicy {
  const given = policy ?? create(RolloutPolicySchema);
  return create(RolloutPolicySchema, {
    id: rolloutPolicyId,
    mode: given.mode === RolloutMode.UNSPECIFIED ? RolloutMode.IMMEDIATE : given.mode,
    stages: given.stages.length > 0 ? given.stages : defaultStages(),
    soak: given.soak ?? durationFromMs(soakDefaultMs),
    applyTimeout: given.applyTimeout ?? durationFromMs(applyTimeoutDefaultMs),
    errorShareTolerance: given.errorShareTolerance ?? errorShareToleranceDefault,
    requestMinCount: given.requestMinCount ?? requestMinCountDefault,
  });
}

function defaultStages(): RolloutStage[] {
  return [create(RolloutStageSchema, { nodeCount: 1 }), create(RolloutStageSchema, { percent: 10 })];
}

/** The policy with its defaults, or everything that is wrong with it. */
export function checkPolicy(policy: RolloutPolicy): Checked<RolloutPolicy> {
  const problems: Problem[] = [];
  const refuse = (field: string, message: string) => problems.push(invalid(field, message));
  const { mode, stages, soak, applyTimeout, errorShareTolerance, requestMinCount } = completePolicy(policy);
  if (mode !== RolloutMode.IMMEDIATE && mode !== RolloutMode.STAGED) refuse("mode", "expected immediate or staged");
  if (stages.length > stagesMax) refuse("stages", `expected at most ${stagesMax}`);
  for (const [i, { nodeCount, percent }] of stages.entries()) {
    if (nodeCount < 0 || nodeCount > nodeCountMax)
      refuse(`stages.${i}.node_count`, `expected a number from 0 to ${nodeCountMax}`);
    if (percent < 0 || percent > 100) refuse(`stages.${i}.percent`, "expected a number from 0 to 100");
    if (nodeCount === 0 && percent === 0) refuse(`stages.${i}`, "expected node_count or percent");
  }
  if (!isTime(soak)) refuse("soak", "expected a time from 100ms to 168h");
  if (!isTime(applyTimeout)) refuse("apply_timeout", "expected a time from 100ms to 168h");
  if (!(errorShareTolerance! >= 0 && errorShareTolerance! <= 1))
    refuse("error_share_tolerance", "expected a share from 0 to 1");
  if (requestMinCount! < 1n) refuse("request_min_count", "expected 1 or more");
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: completePolicy(policy) };
}

function isTime(time: Duration | undefined): boolean {
  const ms = durationMs(time!);
  return ms >= timeMinMs && ms <= timeMaxMs;
}

/** How many of the connected nodes a stage may have reached; Infinity for the one after the last of the policy. */
export function stageNodeMax(policy: RolloutPolicy, stage: number, connectedCount: number): number {
  const size = policy.stages[stage];
  if (size === undefined) return Number.POSITIVE_INFINITY;
  const share = size.percent === 0 ? 0 : Math.max(1, Math.floor((connectedCount * size.percent) / 100));
  return Math.max(size.nodeCount, share);
}

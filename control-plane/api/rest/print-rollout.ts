import { durationMs } from "@bufbuild/protobuf/wkt";
import { RolloutMode, type RolloutPolicy } from "../../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { RolloutStatus } from "../../rollout/rollout-admin.ts";
import { phaseText } from "../../rollout/rollout-steps.ts";
import type { JsonObject } from "./print-resource.ts";

/** How it stands, as JSON. What there is none of is null. */
export function printRollout(status: RolloutStatus): JsonObject {
  return {
    number: status.number,
    phase: phaseText(status.phase),
    stage: status.stage || null,
    waits_for: status.waitsFor || null,
    reached_node_ids: status.reachedNodeIds,
    reaches_all: status.reachesAll,
    serving_count: status.servingCount,
    node_count: status.nodeCount,
    baseline_revision: status.baselineRevision || null,
    baseline_publication: status.baselinePublication || null,
    candidate_revision: status.candidateRevision || null,
    candidate_publication: status.candidatePublication || null,
    waiting_from_revision: status.waitingFromRevision || null,
    began_at: isoTime(status.beganAtUnixMs),
    stage_began_at: isoTime(status.stageBeganAtUnixMs),
    ended_at: isoTime(status.endedAtUnixMs),
    halted_by: status.haltedBy || null,
    reason: status.reason || null,
    blamed_node_ids: status.blamedNodeIds,
  };
}

/** A policy, in the form in which it is set. */
export function printPolicy(policy: RolloutPolicy): JsonObject {
  return {
    mode: policy.mode === RolloutMode.STAGED ? "staged" : "immediate",
    stages: policy.stages.map(({ nodeCount, percent }) => ({
      ...(nodeCount === 0 ? {} : { node_count: nodeCount }),
      ...(percent === 0 ? {} : { percent }),
    })),
    soak: timeText(durationMs(policy.soak!)),
    apply_timeout: timeText(durationMs(policy.applyTimeout!)),
    error_share_tolerance: policy.errorShareTolerance,
    request_min_count: Number(policy.requestMinCount),
  };
}

function timeText(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

function isoTime(unixMs: number | null): string | null {
  return unixMs === null ? null : new Date(unixMs).toISOString();
}

import { type Duration, durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { RolloutStatus } from "../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { RolloutMode, RolloutPhase, type RolloutPolicy } from "../proto/gen/penstock/config/v1/rollout_pb.ts";
import { linesText } from "./printable.ts";

/** Node ids that are printed; of more, their number. */
const idsMax = 10;

const phases: Readonly<Record<number, string>> = {
  [RolloutPhase.UNSPECIFIED]: "Nothing was rolled out stage by stage yet.",
  [RolloutPhase.RUNNING]: "running",
  [RolloutPhase.PAUSED]: "paused",
  [RolloutPhase.HALTED]: "halted: every data plane is to serve what there was before",
  [RolloutPhase.DONE]: "done: every data plane is to serve it",
};

/** How it stands, for people; a line for each thing that there is to say. */
export function rolloutReport(rollout: RolloutStatus): string {
  const { phase, number } = rollout;
  if (number === 0n) return waitingLines(rollout, [phases[RolloutPhase.UNSPECIFIED]!]);
  const lines = [`rollout ${number}: ${phases[phase] ?? "of a kind that this version does not know"}`];
  const isUnderWay = phase === RolloutPhase.RUNNING || phase === RolloutPhase.PAUSED;
  const add = (name: string, text: string) => (text === "" ? undefined : lines.push(`  ${name.padEnd(10)} ${text}`));
  if (isUnderWay) {
    const reached = rollout.reachesAll ? "all" : String(rollout.reachedNodeIds.length);
    add("stage", `${rollout.stage}: ${reached} of ${rollout.nodeCount} data planes`);
    add("serving", `${rollout.servingCount}, revision ${rollout.candidateRevision}`);
    add("waits for", rollout.waitsFor);
    if (!rollout.reachesAll) add("reached", idList(rollout.reachedNodeIds));
    add("the others", rollout.reachesAll ? "" : `revision ${rollout.baselineRevision}`);
  }
  if (phase === RolloutPhase.HALTED) add("serving", `revision ${rollout.baselineRevision}`);
  add("halted by", rollout.haltedBy);
  add("because", rollout.reason);
  add("at", idList(rollout.blamedNodeIds));
  const { endedAt, stageBeganAt } = rollout;
  add("since", timeOf(isUnderWay ? stageBeganAt : endedAt));
  return waitingLines(rollout, lines);
}

function waitingLines({ waitingFromRevision, phase }: RolloutStatus, lines: string[]): string {
  const isHalted = phase === RolloutPhase.HALTED;
  if (waitingFromRevision > 0n)
    lines.push(`changes from revision ${waitingFromRevision} on are stored and wait${isHalted ? " for you" : ""}`);
  if (isHalted) lines.push("resume begins anew with all of them, promote gives all of them to every data plane");
  return linesText(lines);
}

/** The policy, as the options that set it. */
export function policyReport(policy: RolloutPolicy): string {
  const stages = policy.stages.map(({ nodeCount, percent }) =>
    [nodeCount > 0 ? `${nodeCount}` : "", percent > 0 ? `${percent}%` : ""].filter(Boolean).join(" or "),
  );
  return linesText([
    `mode             ${policy.mode === RolloutMode.STAGED ? "staged" : "immediate"}`,
    `stages           ${[...stages, "all"].join(", ")}`,
    `soak             ${timeText(policy.soak)}`,
    `apply-timeout    ${timeText(policy.applyTimeout)}`,
    `error-tolerance  ${policy.errorShareTolerance}`,
    `min-requests     ${policy.requestMinCount}`,
  ]);
}

function idList(ids: readonly string[]): string {
  const more = ids.length > idsMax ? [`and ${ids.length - idsMax} more`] : [];
  return [...ids.slice(0, idsMax), ...more].join(", ");
}

function timeOf(time: RolloutStatus["endedAt"]): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}

function timeText(time: Duration | undefined): string {
  const ms = time === undefined ? 0 : durationMs(time);
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

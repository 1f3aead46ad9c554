import type { HaltReason } from "./rollout-steps.ts";

/** Requests of some nodes within some time. */
export interface TrafficShare {
  readonly requests: number;
  /** Those that were answered with 5xx, or cut. */
  readonly errors: number;
}

/** What is known of a reached node. */
export interface ReachedNode {
  readonly id: string;
  readonly isConnected: boolean;
  readonly servesCandidate: boolean;
  /** Whether it has told of its requests since all of them serve the candidate, be it that there were none ... */
  readonly hasTold: boolean;
  /** ... or else, whether it ever told of any. */
  readonly hasEverTold: boolean;
  /** What it says against the candidate; null where it says nothing. */
  readonly nack: string | null;
  /** Workers that it lost since it was reached. */
  readonly lostWorkerCount: number;
}

/** What a stage is judged by. Times are of one clock. */
export interface StageView {
  readonly isWholeFleet: boolean;
  readonly reached: readonly ReachedNode[];
  /** Reached nodes since all of them serve the candidate. */
  readonly now: TrafficShare;
  /** The same nodes, before they were reached. */
  readonly before: TrafficShare;
  /** The other nodes, at the same time as `now`. */
  readonly rest: TrafficShare;
  /** How long some reached nodes did not serve the candidate that should, all times of the stage together. */
  readonly missingMs: number;
  /** Since all reached nodes serve the candidate, or those that do not are not waited for; null before. */
  readonly soakedMs: number | null;
}

export interface StageLimits {
  readonly soakMs: number;
  readonly applyTimeoutMs: number;
  readonly errorShareTolerance: number;
  readonly requestMinCount: number;
}

export type StageVerdict =
  | { readonly type: "wait"; readonly for: string }
  | { readonly type: "passed" }
  | { readonly type: "halt"; readonly halt: HaltReason };

/** Who told every 5 s has missed six times. */
const silenceMinMs = 30_000;

/** With nothing to compare with, as in the first minute of a control plane, this much failing is never as it should be. */
const aloneShareMax = 0.5;

/** Whether a stage has to be called off, has been watched for long enough, or neither yet. */
export function judgeStage(view: StageView, limits: StageLimits): StageVerdict {
  const halt = judgeNodes(view, limits) ?? judgeShare(view, limits);
  if (halt !== null) return { type: "halt", halt };
  const { reached, soakedMs } = view;
  if (reached.length === 0) return { type: "wait", for: "a node to connect" };
  if (soakedMs === null)
    return { type: "wait", for: `${unready(view).length} of ${reached.length} reached nodes to serve it` };
  if (soakedMs < limits.soakMs)
    return { type: "wait", for: `${Math.ceil((limits.soakMs - soakedMs) / 1_000)} s more to be watched` };
  const silentCount = silent(view).length;
  if (silentCount > 0 && soakedMs < silenceMaxMs(limits))
    return {
      type: "wait",
      for: `${silentCount} of ${reached.length} reached nodes to tell of requests since they serve it`,
    };
  return { type: "passed" };
}

/** The reached nodes that do not serve the candidate. In a whole fleet those count that are there. */
export function unready({
  reached,
  isWholeFleet,
}: Pick<StageView, "reached" | "isWholeFleet">): readonly ReachedNode[] {
  return reached.filter(({ servesCandidate, isConnected }) => !servesCandidate && (isConnected || !isWholeFleet));
}

/** The reached nodes that serve the candidate, and of which it is not known how that goes. */
export function silent({ reached }: Pick<StageView, "reached">): readonly ReachedNode[] {
  return reached.filter(({ servesCandidate, hasTold }) => servesCandidate && !hasTold);
}

/** How long a stage waits for what nodes tell of their requests, from when they serve the candidate. */
function silenceMaxMs({ applyTimeoutMs }: StageLimits): number {
  return Math.max(applyTimeoutMs, silenceMinMs);
}

function judgeNodes(view: StageView, limits: StageLimits): HaltReason | null {
  const refusing = view.reached.filter(({ nack }) => nack !== null);
  if (refusing.length > 0) return { by: "nack", reason: `refused: ${refusing[0]!.nack}`, nodeIds: idsOf(refusing) };
  const losing = view.reached.filter(({ lostWorkerCount }) => lostWorkerCount > 0);
  if (losing.length > 0) {
    const lost = losing.reduce((sum, { lostWorkerCount }) => sum + lostWorkerCount, 0);
    return { by: "worker_lost", reason: `workers were lost: ${lost}`, nodeIds: idsOf(losing) };
  }
  if (view.isWholeFleet) return null;
  // One that never told anything, such as of an earlier version, says nothing by it.
  const hushed = silent(view).filter(({ hasEverTold }) => hasEverTold);
  if (hushed.length > 0 && view.soakedMs !== null && view.soakedMs >= silenceMaxMs(limits)) {
    const reason = `${hushed.length} of ${view.reached.length} nodes tell nothing of their requests since they serve it`;
    return { by: "no_stats", reason, nodeIds: idsOf(hushed) };
  }
  const missing = unready(view);
  if (missing.length === 0 || view.missingMs < limits.applyTimeoutMs) return null;
  const away = missing.filter(({ isConnected }) => !isConnected).length;
  const reason = `not served in time by ${missing.length} of ${view.reached.length} nodes, ${away} of them away`;
  return { by: "not_applied", reason, nodeIds: idsOf(missing) };
}

function judgeShare({ now, before, rest, reached }: StageView, limits: StageLimits): HaltReason | null {
  const { errorShareTolerance, requestMinCount } = limits;
  if (now.requests < requestMinCount) return null;
  const share = shareOf(now);
  for (const [than, other] of [
    ["before", before],
    ["of the other nodes", rest],
  ] as const) {
    if (other.requests < requestMinCount || share <= shareOf(other) + errorShareTolerance) continue;
    const reason = `${percent(share)} of requests fail, ${than} ${percent(shareOf(other))}`;
    return { by: "error_share", reason, nodeIds: idsOf(reached) };
  }
  const isAlone = before.requests < requestMinCount && rest.requests < requestMinCount;
  if (!isAlone || share <= aloneShareMax) return null;
  return { by: "error_share", reason: `${percent(share)} of requests fail`, nodeIds: idsOf(reached) };
}

function shareOf({ requests, errors }: TrafficShare): number {
  return requests === 0 ? 0 : errors / requests;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function idsOf(nodes: readonly ReachedNode[]): readonly string[] {
  return nodes.map(({ id }) => id);
}

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Rollout,
  RolloutPhase,
  type RolloutPolicy,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { ServedPoint } from "./publication-ledger.ts";
import { stageNodeMax } from "./rollout-policy.ts";

/** There is one; two that are made at once collide. */
export const rolloutId = "00000000-0000-4000-8000-000000000002";

/** Nodes that are named for people; a fleet of thousands would fill the record. */
const blamedMax = 20;

/** Why a rollout was called off. */
export type HaltCause = "nack" | "worker_lost" | "error_share" | "not_applied" | "no_stats" | "person";

export interface HaltReason {
  readonly by: HaltCause;
  readonly reason: string;
  readonly nodeIds: readonly string[];
}

/**
 * A rollout from decision to decision. Each is written before it counts.
 *
 *   begin ─► running ──► next stage ... ──► the whole fleet ──► done
 *              │  ▲ pause, resume                                ▲
 *              ▼  │                                              │ promote: from any of them, now
 *            paused                                              │
 *              │ halt: a gate, or a person                       │
 *              ▼                                                 │
 *            halted: all on the baseline, under a new number ────┘    resume: begins the next rollout
 */
export function beginRollout(
  before: Rollout | null,
  points: { readonly baseline: ServedPoint; readonly candidateRevision: number },
  { policy, connected, nowMs }: { policy: RolloutPolicy; connected: readonly string[]; nowMs: number },
): Rollout {
  const fresh = create(RolloutSchema, {
    id: rolloutId,
    number: (before?.number ?? 0n) + 1n,
    phase: RolloutPhase.RUNNING,
    baselineRevision: BigInt(points.baseline.revision),
    baselinePublication: BigInt(points.baseline.publication),
    candidateRevision: BigInt(points.candidateRevision),
    policy,
    stage: 0,
    beganAt: timestampFromMs(nowMs),
    stageBeganAt: timestampFromMs(nowMs),
  });
  return reach(fresh, connected);
}

/** The same stage, with nodes where it has room for more: those that have connected since. */
export function reach(rollout: Rollout, connected: readonly string[]): Rollout {
  if (isWholeFleet(rollout)) return rollout;
  const reached = new Set(rollout.reachedNodeIds);
  const room = stageNodeMax(rollout.policy!, rollout.stage, connected.length) - reached.size;
  // By id: the same nodes go first each time, and people know which.
  const more = [...connected].sort().filter((id) => !reached.has(id));
  const taken = more.slice(0, Math.max(0, Math.min(room, connected.length - reached.size)));
  if (taken.length === 0) return rollout;
  return next(rollout, { reachedNodeIds: [...reached, ...taken].sort() });
}

/**
 * The next stage that reaches somebody else; null after the last one. A stage that adds no node is passed over: it would
 * be watched for nothing.
 */
export function nextStage(rollout: Rollout, connected: readonly string[], nowMs: number): Rollout | null {
  if (isWholeFleet(rollout)) return null;
  for (let stage = rollout.stage + 1; ; stage++) {
    const entered = next(rollout, { stage, stageBeganAt: timestampFromMs(nowMs) });
    if (isWholeFleet(entered)) return entered;
    const wider = reach(entered, connected);
    if (wider !== entered) return wider;
  }
}

/**
 * Nothing is rolled out as of a revision. It is there before the first change that is: without any decision, a control
 * plane that starts anew would not know that there is something to look for in the history.
 */
export function noRollout(before: Rollout | null, revision: number, nowMs: number): Rollout {
  return create(RolloutSchema, {
    id: rolloutId,
    number: before?.number ?? 0n,
    phase: RolloutPhase.DONE,
    baselineRevision: BigInt(revision),
    candidateRevision: BigInt(revision),
    endedAt: timestampFromMs(nowMs),
    reason: "nothing was rolled out since",
  });
}

/** Whether a record is `noRollout`'s as it was made: where what waited since was promoted, that reaches further. */
export function isOfNoRollout({ beganAt, baselineRevision, candidateRevision }: Rollout): boolean {
  return beganAt === undefined && baselineRevision === candidateRevision;
}

export function pauseRollout(rollout: Rollout): Rollout | null {
  return rollout.phase === RolloutPhase.RUNNING ? next(rollout, { phase: RolloutPhase.PAUSED }) : null;
}

/** After a pause; what follows a halt is another rollout. The stage is watched anew. */
export function resumeRollout(rollout: Rollout, nowMs: number): Rollout | null {
  if (rollout.phase !== RolloutPhase.PAUSED) return null;
  return next(rollout, { phase: RolloutPhase.RUNNING, stageBeganAt: timestampFromMs(nowMs) });
}

export function haltRollout(rollout: Rollout, { by, reason, nodeIds }: HaltReason, nowMs: number): Rollout | null {
  if (!isUnderWay(rollout)) return null;
  return next(rollout, {
    phase: RolloutPhase.HALTED,
    haltedBy: by,
    reason,
    blamedNodeIds: nodeIds.slice(0, blamedMax),
    endedAt: timestampFromMs(nowMs),
  });
}

/** Every node is to have the content of the revision. @param revision what is rolled out, or all that waits */
export function finishRollout(rollout: Rollout, revision: number, reason: string, nowMs: number): Rollout {
  return next(rollout, {
    phase: RolloutPhase.DONE,
    candidateRevision: BigInt(revision),
    reason,
    endedAt: timestampFromMs(nowMs),
  });
}

const phaseTexts: { readonly [P in RolloutPhase]: string } = {
  [RolloutPhase.UNSPECIFIED]: "none",
  [RolloutPhase.RUNNING]: "running",
  [RolloutPhase.PAUSED]: "paused",
  [RolloutPhase.HALTED]: "halted",
  [RolloutPhase.DONE]: "done",
};

/** For people and JSON. */
export function phaseText(phase: RolloutPhase): string {
  return phaseTexts[phase] ?? "none";
}

/** Whether a candidate is being rolled out. */
export function isUnderWay({ phase }: Rollout): boolean {
  return phase === RolloutPhase.RUNNING || phase === RolloutPhase.PAUSED;
}

export function isWholeFleet({ stage, policy }: Rollout): boolean {
  return stage >= (policy?.stages.length ?? 0);
}

/** Whether a node is to have what is rolled out. */
export function isReached(rollout: Rollout, reachedIds: ReadonlySet<string>, nodeId: string): boolean {
  return isWholeFleet(rollout) || reachedIds.has(nodeId);
}

function next(rollout: Rollout, changed: Partial<Rollout>): Rollout {
  return { ...rollout, ...changed };
}

import { fromBinary } from "@bufbuild/protobuf";
import { type Rollout, RolloutPhase, RolloutPolicySchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { Change, Commit, Store } from "../store/store.ts";
import { FrozenContent } from "./frozen-content.ts";
import { ledgerCommit, modeOfPolicy } from "./ledger-commits.ts";
import { enterCommit, type Ledger, type Mode } from "./publication-ledger.ts";
import { rolloutPolicyId } from "./rollout-policy.ts";
import { isOfNoRollout, rolloutId } from "./rollout-steps.ts";

/** Where a control plane stands when it starts. */
export interface RebuiltRollout {
  readonly ledger: Ledger;
  /** Null where nodes are to have all of the store. */
  readonly baseline: FrozenContent | null;
  readonly candidate: FrozenContent | null;
  /** The history that says what nodes had is gone, though a rollout was under way or halted. */
  readonly isLost: boolean;
}

/** Changes read at a time. */
const readMaxCount = 10_000;

/** The oldest change that a restart needs: after this revision; null where it needs none. */
export function rolloutHistoryFloor(image: Pick<ResourceImage, "get">): number | null {
  const rollout = image.get("rollout", rolloutId)?.message;
  if (rollout === undefined || rollout.phase === RolloutPhase.DONE) return null;
  return Number(rollout.baselineRevision);
}

/**
 * What nodes are to serve, made of the last decision and of the commits since what it builds upon. Of a store without
 * any decision, that is all of it.
 * Errors: rejects when the store cannot be read.
 */
export async function rebuildRollout(store: Pick<Store, "image" | "readChanges">): Promise<RebuiltRollout> {
  const { image } = store;
  const rollout = image.get("rollout", rolloutId)?.message ?? null;
  const open = openLedger(image, rollout);
  if (rollout === null) return { ledger: open, baseline: null, candidate: null, isLost: false };
  const isDone = rollout.phase === RolloutPhase.DONE;
  const from = Number(isDone ? rollout.candidateRevision : rollout.baselineRevision);
  const commits = await readCommits(store, from);
  if (commits === null) return { ledger: open, baseline: null, candidate: null, isLost: !isDone };
  const ledger = refold(open, rollout, from, commits);
  const contentAt = (revision: number | undefined) => {
    if (revision === undefined) return null;
    const content = FrozenContent.of(image, revision);
    for (const commit of commits) content.pass(commit);
    return content;
  };
  return {
    ledger,
    baseline: contentAt(ledger.baseline?.revision),
    candidate: contentAt(ledger.candidate?.revision),
    isLost: false,
  };
}

function openLedger(image: ResourceImage, rollout: Rollout | null): Ledger {
  return {
    revision: image.revision,
    publication: image.publication,
    mode: modeOfPolicy(image.get("rollout_policy", rolloutPolicyId)?.message),
    baseline: null,
    candidate: null,
    waiting: null,
    rollout,
  };
}

/** The ledger after the commits, of which the first came after `from`. */
function refold(open: Ledger, rollout: Rollout, from: number, commits: readonly Commit[]): Ledger {
  const publication = rollout.phase === RolloutPhase.DONE ? 0 : Number(rollout.baselinePublication);
  // What was written while that was noted went to all, if it was not to go stage by stage.
  const baseline = isOfNoRollout(rollout) ? null : { revision: from, publication };
  let ledger: Ledger = {
    ...open,
    revision: from,
    publication,
    mode: modeBefore(commits) ?? open.mode,
    baseline,
    rollout: null,
  };
  for (const commit of commits) {
    const entered = ledgerCommit(commit);
    // Decisions on the rollout before this one are in what this one begins from.
    const isEarlier = entered.rollout !== null && entered.rollout.number !== rollout.number;
    // Commits from before the decision to begin may have numbers that this one is past already.
    const next = enterCommit(ledger, isEarlier ? { ...entered, rollout: null } : entered);
    ledger = { ...next, baseline: atLeast(next.baseline, ledger.baseline) };
  }
  return ledger;
}

function atLeast(baseline: Ledger["baseline"], before: Ledger["baseline"]): Ledger["baseline"] {
  if (baseline === null || before === null || baseline.publication >= before.publication) return baseline;
  return { ...baseline, publication: before.publication };
}

/** The mode before the first of these commits; null where they do not tell. */
function modeBefore(commits: readonly Commit[]): Mode | null {
  for (const { changes } of commits) {
    const change = changes.find(({ kind }) => kind === "rollout_policy");
    if (change === undefined) continue;
    return modeOfPolicy(change.before === null ? undefined : fromBinary(RolloutPolicySchema, change.before));
  }
  return null;
}

/** Null when they are no longer kept. */
async function readCommits(store: Pick<Store, "readChanges">, after: number): Promise<readonly Commit[] | null> {
  const commits: { revision: number; publication: number; changes: Change[] }[] = [];
  for (let from = after; ; from = commits.at(-1)!.revision) {
    const changes = await store.readChanges(from, readMaxCount);
    if (changes === null) return null;
    if (changes.length === 0) return commits;
    for (const change of changes) {
      const last = commits.at(-1);
      if (last?.revision === change.revision) last.changes.push(change);
      else commits.push({ revision: change.revision, publication: change.publication, changes: [change] });
    }
  }
}

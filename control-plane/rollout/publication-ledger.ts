import { type Rollout, RolloutPhase } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";

/** How a change is to reach the fleet. */
export type Mode = "immediate" | "staged";

/** A state of the store that nodes are to serve, and the number under which they get it. */
export interface ServedPoint {
  /** Content is that of the store at this revision, but for what is always live. */
  readonly revision: number;
  readonly publication: number;
}

/** Commits with content that no node is to have yet. */
export interface WaitingChanges {
  readonly firstRevision: number;
  readonly lastRevision: number;
  /** The last one that is to go stage by stage; 0 where none is. */
  readonly lastStagedRevision: number;
}

/**
 * What the nodes are to serve after the commits so far. Made of the commits alone, so that a control plane that starts
 * anew comes to the same numbers by reading them again.
 */
export interface Ledger {
  /** Of the last commit. */
  readonly revision: number;
  readonly publication: number;
  /** For writes that do not say themselves. */
  readonly mode: Mode;
  /** What nodes have that are not reached; null: everything of the store, as it is now. */
  readonly baseline: ServedPoint | null;
  /** What is rolled out; null: nothing. */
  readonly candidate: ServedPoint | null;
  readonly waiting: WaitingChanges | null;
  /** The last decision; null before the first. */
  readonly rollout: Rollout | null;
}

/** What the ledger has to know of a commit. */
export interface LedgerCommit {
  readonly revision: number;
  readonly publication: number;
  /** It changes what rollouts hold back. */
  readonly hasContent: boolean;
  /** It changes what nodes get at once, whatever is rolled out: what is always live, or who gets what. */
  readonly hasLive: boolean;
  /** What its writer said. */
  readonly order: Mode | null;
  /** The fleet's mode, where it is written. */
  readonly mode: Mode | null;
  /** A decision, where it is one. */
  readonly rollout: Rollout | null;
}

/** The ledger after one more commit. */
export function enterCommit(ledger: Ledger, commit: LedgerCommit): Ledger {
  const { revision, publication } = commit;
  let next: Ledger = { ...ledger, revision, publication, mode: commit.mode ?? ledger.mode };
  if (commit.hasContent) next = hold(next, ledger, (commit.order ?? next.mode) === "staged");
  if (commit.hasLive) next = renumber(next, publication);
  return commit.rollout === null ? next : decide(next, commit.rollout);
}

/** Holds back a change that is to go stage by stage, or comes while others wait. */
function hold(next: Ledger, before: Ledger, isStaged: boolean): Ledger {
  const { revision } = next;
  if (next.baseline === null && !isStaged) return next;
  const waiting = {
    firstRevision: next.waiting?.firstRevision ?? revision,
    lastRevision: revision,
    lastStagedRevision: isStaged ? revision : (next.waiting?.lastStagedRevision ?? 0),
  };
  return {
    ...next,
    baseline: next.baseline ?? { revision: before.revision, publication: before.publication },
    waiting,
  };
}

/** What is always live changes for all nodes, so that all get a new number. */
function renumber(ledger: Ledger, publication: number): Ledger {
  const { baseline, candidate } = ledger;
  return {
    ...ledger,
    baseline: baseline === null ? null : { ...baseline, publication },
    candidate: candidate === null ? null : { ...candidate, publication },
  };
}

function decide(ledger: Ledger, rollout: Rollout): Ledger {
  const decided = { ...ledger, rollout };
  if (rollout.phase === RolloutPhase.HALTED) return halt(decided);
  if (rollout.phase === RolloutPhase.DONE) return finish(decided, Number(rollout.candidateRevision));
  if (ledger.candidate === null || ledger.rollout?.number !== rollout.number)
    return begin(decided, Number(rollout.candidateRevision));
  // Whoever is reached now has the baseline's number, and takes only a higher one.
  const isTaken = ledger.baseline !== null && ledger.candidate.publication <= ledger.baseline.publication;
  return isTaken ? { ...decided, candidate: { ...ledger.candidate, publication: ledger.publication } } : decided;
}

function begin(ledger: Ledger, revision: number): Ledger {
  const candidate = { revision, publication: ledger.publication };
  return { ...ledger, candidate, waiting: after(ledger.waiting, revision) };
}

/** Everything after the baseline waits, and all nodes get that under a new number, also those that have it. */
function halt(ledger: Ledger): Ledger {
  const { baseline, candidate, waiting, publication } = ledger;
  if (baseline === null) return ledger;
  const held =
    candidate === null
      ? waiting
      : {
          firstRevision: baseline.revision + 1,
          lastRevision: waiting?.lastRevision ?? candidate.revision,
          lastStagedRevision: Math.max(candidate.revision, waiting?.lastStagedRevision ?? 0),
        };
  return { ...ledger, baseline: { ...baseline, publication }, candidate: null, waiting: held };
}

/**
 * Every node gets the content of the revision; what came later waits for the next rollout, if some of it has to. What all
 * have already stays: a change may have gone to all between the decision and its commit.
 */
function finish(ledger: Ledger, decidedRevision: number): Ledger {
  const revision = Math.max(decidedRevision, ledger.baseline?.revision ?? 0);
  const waiting = after(ledger.waiting, revision);
  const isHeld = waiting !== null && waiting.lastStagedRevision >= waiting.firstRevision;
  const { publication } = ledger;
  return isHeld
    ? { ...ledger, baseline: { revision, publication }, candidate: null, waiting }
    : { ...ledger, baseline: null, candidate: null, waiting: null };
}

function after(waiting: WaitingChanges | null, revision: number): WaitingChanges | null {
  if (waiting === null || waiting.lastRevision <= revision) return null;
  return { ...waiting, firstRevision: Math.max(waiting.firstRevision, revision + 1) };
}

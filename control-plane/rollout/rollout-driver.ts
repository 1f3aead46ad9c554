import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Rollout, RolloutPhase } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Clock } from "../sync/clock.ts";
import type { Fleet, NodeStatus } from "../sync/fleet.ts";
import type { Log } from "../telemetry/log.ts";
import { judgeStage, type StageLimits, type StageVerdict, silent } from "./judge-stage.ts";
import { finishRollout, haltRollout, isUnderWay, isWholeFleet, nextStage, reach } from "./rollout-steps.ts";
import type { Rollouts } from "./rollouts.ts";
import { StageWatch, type WatchedStage } from "./stage-watch.ts";

export interface RolloutDriverOptions {
  readonly rollouts: Rollouts;
  readonly fleet: Pick<Fleet, "nodes">;
  readonly clock: Clock;
  readonly log: Log;
}

/** A stage that is watched is looked at so often. */
const lookMs = 500;
/** Without one, so often: for how it was before the next. */
const idleLookMs = 5_000;
/** How it was before goes back so far, at least: nodes tell what they count every 5 s. */
const beforeMinMs = 10_000;
/** What is written together goes together: a rollout begins when nothing has followed for so long ... */
const gatherMs = 1_000;
/** ... but not later than this after the first that waits. */
const gatherMaxMs = 10_000;

/**
 * Drives rollouts by what is seen of the nodes: begins them, goes on to the next stage, calls them off. What it decides is
 * written by `Rollouts`; where the store does not take it, it is decided anew at the next look.
 */
export class RolloutDriver {
  readonly #options: RolloutDriverOptions;
  readonly #watch = new StageWatch();
  readonly #listeners = new Set<() => void>();
  #verdict: StageVerdict | null = null;
  #servingCount = 0;
  #isDeciding = false;
  #isClosed = false;
  #lastWaitingRevision = 0;
  #firstChangeAtMs: number | null = null;
  #lastChangeAtMs = 0;
  #endedAtMs: number | null = null;
  #stopTimer: () => void = () => {};
  readonly #stopListening: () => void;

  constructor(options: RolloutDriverOptions) {
    this.#options = options;
    this.#stopListening = options.rollouts.onChange(() => this.#changed());
    this.#changed();
  }

  get rollouts(): Rollouts {
    return this.#options.rollouts;
  }

  /** Reached nodes that serve what is rolled out, at the last look. */
  get servingCount(): number {
    return this.#servingCount;
  }

  /** Calls the listener after every look at a rollout, and when one was decided on; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What the running stage waits for; empty where none is running. */
  get waitsFor(): string {
    const { rollout } = this.#options.rollouts.ledger;
    if (rollout === null || !isUnderWay(rollout)) return "";
    if (rollout.phase === RolloutPhase.PAUSED) return "a person to resume it";
    return this.#verdict?.type === "wait" ? this.#verdict.for : "";
  }

  /** Of the nodes that are connected. */
  connectedIds(): readonly string[] {
    return idsOfConnected(this.#options.fleet.nodes());
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
    this.#stopListening();
  }

  #changed(): void {
    if (this.#isClosed) return;
    this.#stopTimer();
    this.#stopTimer = this.#options.clock.after(0, () => this.#look());
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #lookLater(): void {
    this.#stopTimer();
    if (this.#isClosed) return;
    const { rollouts, clock } = this.#options;
    const { baseline, mode } = rollouts.ledger;
    if (baseline !== null || rollouts.isSplit) this.#stopTimer = clock.after(lookMs, () => this.#look());
    else if (mode === "staged") this.#stopTimer = clock.after(idleLookMs, () => this.#look());
  }

  #look(): void {
    if (this.#isClosed) return;
    if (this.#isDeciding) {
      this.#lookLater();
      return;
    }
    this.#isDeciding = true;
    this.#decide()
      .catch((error) => this.#options.log.error({ err: error }, "a rollout could not go on; it is tried again"))
      .finally(() => {
        this.#isDeciding = false;
        this.#lookLater();
        this.#tell();
      });
  }

  async #decide(): Promise<void> {
    const { rollouts, fleet, clock } = this.#options;
    const nodes = fleet.nodes();
    const nowMs = clock.monotonicMs();
    const { rollout, candidate } = rollouts.ledger;
    const soakMs = durationMs((rollout?.policy ?? rollouts.policy).soak!);
    this.#watch.look(nodes, nowMs, Math.max(soakMs, beforeMinMs));
    if (rollout !== null && candidate !== null) {
      this.#endedAtMs = null;
      await this.#watchStage(rollout, candidate.publication, nodes);
      return;
    }
    this.#verdict = null;
    this.#joinWhenBehind(nodes, nowMs);
    const isGathered = this.#isGathered(nowMs);
    if (rollout?.phase !== RolloutPhase.HALTED && isGathered) await rollouts.begin(idsOfConnected(nodes));
    else if (isGathered && rollouts.isTakenBack) await rollouts.release();
    else if (rollouts.ledger.mode === "staged") await rollouts.renewRecord();
  }

  async #watchStage(rollout: Rollout, candidatePublication: number, nodes: readonly NodeStatus[]): Promise<void> {
    const { rollouts, clock, log } = this.#options;
    const connected = idsOfConnected(nodes);
    if (rollout.phase === RolloutPhase.RUNNING && reach(rollout, connected) !== rollout) {
      await rollouts.step((current) => changed(current, reach(current, connected)));
      return;
    }
    const limits = limitsOf(rollout);
    const watched = watchedStage(rollout, candidatePublication, limits.applyTimeoutMs, rollouts);
    const view = this.#watch.view(watched, nodes, clock.monotonicMs());
    const verdict = judgeStage(view, limits);
    this.#verdict = verdict;
    this.#servingCount = view.reached.filter(({ servesCandidate }) => servesCandidate).length;
    // A person may have been faster: a step is one of the rollout as it is when it is taken.
    const isSame = (current: Rollout) => nameOf(current) === nameOf(rollout);
    if (verdict.type === "halt")
      await rollouts.step((current, nowMs) => (isSame(current) ? haltRollout(current, verdict.halt, nowMs) : null));
    if (verdict.type !== "passed" || rollout.phase !== RolloutPhase.RUNNING) return;
    const unheard = silent(view).map(({ id }) => id);
    if (unheard.length > 0) log.warn({ nodes: unheard.slice(0, 20) }, "a stage passes without the stats of some nodes");
    await rollouts.step((current, nowMs) => {
      if (!isSame(current)) return null;
      const revision = Number(current.candidateRevision);
      return nextStage(current, connected, nowMs) ?? finishRollout(current, revision, "every stage passed", nowMs);
    });
  }

  /** Whether no change has followed for a while on those that wait. */
  #isGathered(nowMs: number): boolean {
    const { waiting } = this.#options.rollouts.ledger;
    if (waiting === null) {
      this.#firstChangeAtMs = null;
      return false;
    }
    this.#firstChangeAtMs ??= nowMs;
    if (waiting.lastRevision !== this.#lastWaitingRevision) this.#lastChangeAtMs = nowMs;
    this.#lastWaitingRevision = waiting.lastRevision;
    const isQuiet = nowMs - this.#lastChangeAtMs >= gatherMs;
    if (!isQuiet && nowMs - this.#firstChangeAtMs < gatherMaxMs) return false;
    this.#firstChangeAtMs = null;
    return true;
  }

  /** After the end of a rollout all nodes get the same; once they have it, one line of publications is enough. */
  #joinWhenBehind(nodes: readonly NodeStatus[], nowMs: number): void {
    const { rollouts } = this.#options;
    if (!rollouts.isSplit) return;
    this.#endedAtMs ??= nowMs;
    const areAllThere = nodes.every(({ isConnected, lag }) => !isConnected || lag === 0);
    const timeoutMs = durationMs((rollouts.ledger.rollout?.policy ?? rollouts.policy).applyTimeout!);
    if (areAllThere || nowMs - this.#endedAtMs >= timeoutMs) rollouts.join();
  }
}

function idsOfConnected(nodes: readonly NodeStatus[]): readonly string[] {
  return nodes.filter(({ isConnected }) => isConnected).map(({ id }) => id);
}

function changed(before: Rollout, after: Rollout): Rollout | null {
  return after === before ? null : after;
}

function limitsOf({ policy }: Rollout): StageLimits {
  return {
    soakMs: durationMs(policy!.soak!),
    applyTimeoutMs: durationMs(policy!.applyTimeout!),
    errorShareTolerance: policy!.errorShareTolerance!,
    requestMinCount: Number(policy!.requestMinCount!),
  };
}

/** Another one is another rollout or stage, or the same after a pause. */
function nameOf({ number, phase, stage, stageBeganAt, reachedNodeIds }: Rollout): string {
  return `${number}/${stage}/${phase}/${stageBeganAt?.seconds}/${stageBeganAt?.nanos}/${reachedNodeIds.length}`;
}

function watchedStage(
  rollout: Rollout,
  candidatePublication: number,
  applyTimeoutMs: number,
  rollouts: Rollouts,
): WatchedStage {
  return {
    name: nameOf(rollout),
    rollout: Number(rollout.number),
    candidatePublication,
    isWholeFleet: isWholeFleet(rollout),
    reachedNodeIds: rollout.reachedNodeIds,
    isReached: (nodeId) => rollouts.isReached(nodeId),
    applyTimeoutMs,
  };
}

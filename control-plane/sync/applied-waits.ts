import { type AckState, type Goal, isWorthWaiting, servesGoal } from "./ack-state.ts";
import type { Clock } from "./clock.ts";
import type { Applied, AppliedWait } from "./fleet.ts";

interface Wait {
  readonly goal: Goal;
  readonly who: "keeping-up" | "all";
  readonly resolve: (applied: Applied) => void;
  /** Ends its timer, and its listening to its caller. */
  readonly stop: () => void;
}

/** Those who wait until the nodes serve what they wrote. */
export class AppliedWaits {
  readonly #streams: () => readonly AckState[];
  readonly #clock: Clock;
  readonly #maxCount: number;
  readonly #waits = new Set<Wait>();
  #isCheckDue = false;

  /**
   * @param streams the state of every open stream
   * @param maxCount of waits at a time; one more gets its answer at once
   */
  constructor(streams: () => readonly AckState[], clock: Clock, maxCount: number) {
    this.#streams = streams;
    this.#clock = clock;
    this.#maxCount = maxCount;
  }

  /** Resolves with how many nodes serve what is waited for, once no other is worth waiting for or nobody waits any more. */
  wait(goal: Goal, { who, timeoutMs, signal }: AppliedWait): Promise<Applied> {
    const streams = this.#streams();
    const isOver = timeoutMs <= 0 || signal?.aborted === true;
    if (isOver || this.#waits.size >= this.#maxCount || !isAnyWorthWaiting(streams, goal, who)) {
      return Promise.resolve(countApplied(streams, goal));
    }
    return new Promise((resolve) => {
      const end = () => this.#finish(wait, this.#streams());
      const stopTimer = this.#clock.after(timeoutMs, end);
      signal?.addEventListener("abort", end);
      const stop = () => {
        stopTimer();
        signal?.removeEventListener("abort", end);
      };
      const wait: Wait = { goal, who, resolve, stop };
      this.#waits.add(wait);
    });
  }

  /** To be called when a stream changed. One look serves all changes of a turn: a fleet acks in bursts. */
  check(): void {
    if (this.#isCheckDue || this.#waits.size === 0) return;
    this.#isCheckDue = true;
    setImmediate(() => {
      this.#isCheckDue = false;
      const streams = this.#streams();
      for (const wait of this.#waits) {
        if (!isAnyWorthWaiting(streams, wait.goal, wait.who)) this.#finish(wait, streams);
      }
    });
  }

  /** Answers everybody with how it stands. */
  close(): void {
    const streams = this.#streams();
    for (const wait of this.#waits) this.#finish(wait, streams);
  }

  #finish(wait: Wait, streams: readonly AckState[]): void {
    if (!this.#waits.delete(wait)) return;
    wait.stop();
    wait.resolve(countApplied(streams, wait.goal));
  }
}

function isAnyWorthWaiting(streams: readonly AckState[], goal: Goal, who: "keeping-up" | "all"): boolean {
  return streams.some((state) => isWorthWaiting(state, goal, who));
}

function countApplied(streams: readonly AckState[], goal: Goal): Applied {
  const appliedCount = streams.filter((state) => servesGoal(state, goal)).length;
  return { appliedCount, nodeCount: streams.length };
}

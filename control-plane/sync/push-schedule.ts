import type { Clock } from "./clock.ts";

/** Timers count whole milliseconds, and may come so much before the time that is asked for. */
const timerStepMs = 1;

export interface PushScheduleOptions {
  readonly clock: Clock;
  /** A change goes out once none followed for this long. */
  readonly coalesceMs: number;
  /** ... but not later than this after the first that waits. */
  readonly coalesceMaxMs: number;
  /** Whether every node that keeps up has answered its last push. */
  readonly isQuiet: () => boolean;
  /** Publishes the newest state; must not throw. */
  readonly push: () => void;
}

/**
 * Decides when changes are published: the first after a quiet time at once and without a timer, so that a single
 * write is live within a round trip; those that follow together, so that a burst does not make a snapshot each.
 */
export class PushSchedule {
  readonly #options: PushScheduleOptions;
  #lastPushAtMs = Number.NEGATIVE_INFINITY;
  #firstWaitingAtMs: number | null = null;
  #lastWaitingAtMs = 0;
  #stopTimer: () => void = () => {};

  constructor(options: PushScheduleOptions) {
    this.#options = options;
  }

  /** Whether a change waits to be published. */
  get isWaiting(): boolean {
    return this.#firstWaitingAtMs !== null;
  }

  /** Takes note of a change; returns after publishing it when it need not wait. */
  changed(): void {
    const { clock, coalesceMs, isQuiet } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#firstWaitingAtMs === null && nowMs - this.#lastPushAtMs >= coalesceMs && isQuiet()) {
      this.#push();
      return;
    }
    this.#lastWaitingAtMs = nowMs;
    if (this.#firstWaitingAtMs !== null) return;
    this.#firstWaitingAtMs = nowMs;
    this.#wait(nowMs, nowMs);
  }

  close(): void {
    this.#stopTimer();
    this.#firstWaitingAtMs = null;
  }

  /** Until nothing has followed for long enough. A timer for each change would cost more than the rest of it here. */
  #wait(firstAtMs: number, nowMs: number): void {
    const { clock, coalesceMs, coalesceMaxMs } = this.#options;
    const dueAtMs = Math.min(this.#lastWaitingAtMs + coalesceMs, firstAtMs + coalesceMaxMs);
    if (dueAtMs - nowMs < timerStepMs) this.#push();
    else this.#stopTimer = clock.after(dueAtMs - nowMs, () => this.#wait(firstAtMs, clock.monotonicMs()));
  }

  #push(): void {
    this.close();
    this.#lastPushAtMs = this.#options.clock.monotonicMs();
    this.#options.push();
  }
}

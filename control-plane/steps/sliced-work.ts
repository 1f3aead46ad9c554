import { untilDone } from "./until-done.ts";

export interface SliceTiming {
  readonly clock: { monotonicMs(): number; after(delayMs: number, run: () => void): () => void };
  /** Steps are taken in one go until they took so long; one is always taken. */
  readonly sliceMs: number;
}

/**
 * One long work at a time, in slices: the first at once, so that what is short is done when `begin` returns, and each
 * other in a turn of the event loop of its own, so that nobody waits for longer than a slice and a step.
 */
export class SlicedWork {
  readonly #timing: SliceTiming;
  #steps: Generator<void, void> | null = null;
  #onDone: () => void = () => {};
  #stopTimer: () => void = () => {};
  #isClosed = false;

  constructor(timing: SliceTiming) {
    this.#timing = timing;
  }

  get isUnderWay(): boolean {
    return this.#steps !== null;
  }

  /**
   * Takes the first slice. Not to be called while work is under way; does nothing after `close`.
   * @param steps must not throw
   * @param onDone called where that was not all, when it is
   */
  begin(steps: Generator<void, void>, onDone: () => void): void {
    if (this.#isClosed) return;
    this.#steps = steps;
    this.#onDone = onDone;
    if (this.#takeSlice()) this.#steps = null;
    else this.#goOnLater();
  }

  /** Takes what is left of the steps in one go. */
  finish(): void {
    if (this.#steps === null) return;
    this.#stopTimer();
    untilDone(this.#steps);
    this.#done();
  }

  /** What is under way is left as it is. */
  close(): void {
    this.#isClosed = true;
    this.#steps = null;
    this.#stopTimer();
  }

  /** Whether that was the last one. */
  #takeSlice(): boolean {
    const { clock, sliceMs } = this.#timing;
    const beganAtMs = clock.monotonicMs();
    do {
      if (this.#steps!.next().done) return true;
    } while (clock.monotonicMs() - beganAtMs < sliceMs);
    return false;
  }

  #goOnLater(): void {
    this.#stopTimer = this.#timing.clock.after(0, () => {
      if (this.#takeSlice()) this.#done();
      else this.#goOnLater();
    });
  }

  #done(): void {
    this.#steps = null;
    this.#onDone();
  }
}

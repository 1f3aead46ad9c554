export interface StepQueueOptions {
  readonly clock: { monotonicMs(): number; after(delayMs: number, run: () => void): () => void };
  /** Steps are taken in one go until they took so long; one is always taken. */
  readonly sliceMs: number;
  /** Told of what anything throws; a work of which a step does counts as done. */
  readonly onError: (error: unknown) => void;
}

interface Work {
  readonly steps: () => Generator<void, unknown>;
  readonly done: (result: unknown) => void;
}

/**
 * Long work, one after the other, in slices: the first at once, so that what is short is done when `add` returns, and each
 * other in a turn of the event loop of its own, so that nobody waits for longer than a slice and a step.
 */
export class StepQueue {
  readonly #options: StepQueueOptions;
  /** In the order they came. */
  readonly #waiting: Work[] = [];
  readonly #changes: (() => void)[] = [];
  #steps: Generator<void, unknown> | null = null;
  /** The first of those that wait was begun. */
  #isUnderWay = false;
  #isInSlice = false;
  #isClosed = false;
  #stopTimer: () => void = () => {};

  constructor(options: StepQueueOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && !this.#isInSlice;
  }

  /**
   * Does nothing after `close`.
   * @param steps called when all that came before is done
   * @param done called right after the last step, with what they come to; undefined: one has thrown
   */
  add<T>(steps: () => Generator<void, T>, done: (result: T | undefined) => void): void {
    if (this.#isClosed) return;
    const { isIdle } = this;
    this.#waiting.push({ steps, done: done as Work["done"] });
    if (isIdle) this.#takeSlice();
  }

  /** Calls what must not fall between two steps of one work: at once or, where one is under way, before the next begins. */
  between(change: () => void): void {
    if (this.#isClosed) return;
    this.#changes.push(change);
    if (!this.#isUnderWay) this.#takeChanges();
  }

  /** What is left is not done any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#changes.length = 0;
    this.#stopTimer();
  }

  #takeSlice(): void {
    const { clock, sliceMs } = this.#options;
    const beganAtMs = clock.monotonicMs();
    this.#isInSlice = true;
    do this.#takeStep();
    while (this.#waiting.length > 0 && clock.monotonicMs() - beganAtMs < sliceMs);
    this.#isInSlice = false;
    if (this.#waiting.length > 0) this.#stopTimer = clock.after(0, () => this.#takeSlice());
  }

  #takeStep(): void {
    const { steps, done } = this.#waiting[0]!;
    this.#isUnderWay = true;
    const step = this.#attempt(() => {
      this.#steps ??= steps();
      return this.#steps.next();
    });
    if (step?.done === false) return;
    this.#steps = null;
    this.#attempt(() => done(step?.value));
    this.#waiting.shift();
    this.#isUnderWay = false;
    this.#takeChanges();
  }

  #takeChanges(): void {
    for (const change of this.#changes.splice(0)) this.#attempt(change);
  }

  #attempt<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#options.onError(error);
      return undefined;
    }
  }
}

/** What a shedder goes by. */
export interface ShedThresholds {
  /** Lag of the event loop that is too much when it does not go down for a second. */
  readonly lagMs: number;
}

/** Lag is judged over windows of so long, and of so many samples. */
const windowMs = 1_000;
const windowMinSamples = 3;
/** A few requests always pass: they are what shows that the load has gone. */
const ratioMax = 0.95;
const ratioStep = 0.15;

/**
 * Decides which new requests of a worker are refused because it has too much to do. Too much is a lag of the event
 * loop that at no moment of a second was below the threshold: a single pause (garbage, a new configuration) is not,
 * however long. The share that is refused grows from window to window while the lag stays, is left alone between half
 * the threshold and all of it, and is halved below. Memory adds a share of its own.
 *
 * Pure: time comes in with the samples. Cost for a request: one comparison while nothing is shed.
 */
export class LoadShedder {
  /** Share of the requests that are refused, 0 to 1. Read by every request. */
  ratio = 0;
  readonly #lagMs: number;
  #lagRatio = 0;
  #memoryRatio = 0;
  #windowSpentMs = 0;
  #windowSamples = 0;
  #windowLeastLagMs = Number.POSITIVE_INFINITY;
  /** Parts of requests that are still to be refused: makes the share exact without randomness. */
  #owed = 0;

  constructor({ lagMs }: ShedThresholds) {
    this.#lagMs = lagMs;
  }

  /**
   * @param elapsedMs since the sample before
   * @param lagMs how much of that the event loop was late
   */
  sampleLag(elapsedMs: number, lagMs: number): void {
    this.#windowSpentMs += elapsedMs;
    this.#windowSamples++;
    this.#windowLeastLagMs = Math.min(this.#windowLeastLagMs, lagMs);
    if (this.#windowSpentMs < windowMs || this.#windowSamples < windowMinSamples) return;
    if (this.#windowLeastLagMs > this.#lagMs) this.#lagRatio = Math.min(ratioMax, this.#lagRatio + ratioStep);
    else if (this.#windowLeastLagMs < this.#lagMs / 2) this.#lagRatio = this.#lagRatio < 0.05 ? 0 : this.#lagRatio / 2;
    this.#windowSpentMs = 0;
    this.#windowSamples = 0;
    this.#windowLeastLagMs = Number.POSITIVE_INFINITY;
    this.#update();
  }

  /** @param ratio the share that is refused for want of memory */
  setMemoryRatio(ratio: number): void {
    if (ratio === this.#memoryRatio) return;
    this.#memoryRatio = ratio;
    this.#update();
  }

  #update(): void {
    this.ratio = Math.max(this.#lagRatio, this.#memoryRatio);
    if (this.ratio === 0) this.#owed = 0;
  }

  /** Whether the request that just came is one of those that are refused. */
  refusesNext(): boolean {
    this.#owed += this.ratio;
    if (this.#owed < 1) return false;
    this.#owed--;
    return true;
  }
}

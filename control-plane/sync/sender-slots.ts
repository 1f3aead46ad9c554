/**
 * Admits a limited number of sessions to sending a snapshot at a time, in the order they came.
 * Each sender holds a chunk or two in buffers; a thousand of them at once after a restart would hold them all.
 */
export class SenderSlots {
  #freeCount: number;
  readonly #queue: (() => void)[] = [];

  constructor(maxCount: number) {
    this.#freeCount = maxCount;
  }

  /** Resolves when a slot is taken; give it back with `release`. */
  acquire(): Promise<void> {
    if (this.#freeCount > 0) {
      this.#freeCount--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  release(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#freeCount++;
    else next();
  }
}

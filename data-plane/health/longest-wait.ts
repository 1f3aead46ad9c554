const bucketMs = 30_000;
const bucketCount = 10;

/**
 * The longest of the waits of the last five minutes, to a bucket of 30 seconds. Knows no clock.
 *
 * Cost: two comparisons per wait. Times are kept in whole milliseconds, rounded up: V8 keeps small integers in the object
 * itself and puts a fraction somewhere else, which with many routes is in no cache (bench W1r).
 */
export class LongestWait {
  readonly #longest = new Float64Array(bucketCount);
  #current = 0;
  /** 0 before the first wait. */
  #bucketEndsAtMs = 0;
  #bucketLongest = 0;
  /** Waits that were added since the beginning. */
  count = 0;

  add(waitMs: number, nowMs: number): void {
    if (nowMs >= this.#bucketEndsAtMs) this.#turnTo(nowMs);
    this.count++;
    if (waitMs > this.#bucketLongest) this.#bucketLongest = Math.ceil(waitMs);
  }

  /** 0 when there was none. */
  longestMs(nowMs: number): number {
    if (nowMs >= this.#bucketEndsAtMs) this.#turnTo(nowMs);
    let longest = this.#bucketLongest;
    for (let i = 0; i < bucketCount; i++) if (this.#longest[i]! > longest) longest = this.#longest[i]!;
    return longest;
  }

  #turnTo(nowMs: number): void {
    this.#longest[this.#current] = this.#bucketLongest;
    this.#bucketLongest = 0;
    // Buckets that nothing was added in are forgotten with the rest.
    const turns = Math.min(1 + Math.floor((nowMs - this.#bucketEndsAtMs) / bucketMs), bucketCount);
    for (let i = 0; i < turns; i++) {
      this.#current = (this.#current + 1) % bucketCount;
      this.#longest[this.#current] = 0;
    }
    this.#bucketEndsAtMs = (Math.floor(nowMs / bucketMs) + 1) * bucketMs;
  }
}

/** What is known of a route and an endpoint. */
export interface Kept {
  /** Where it stands among those that are kept; -1: it does not. Only KeptWaits changes it. */
  keptAt: number;
  /** Set by whoever uses it. */
  wasUsed: boolean;
  readonly isInUse: boolean;
  /** There are too many others that were used later. */
  forget(): void;
}

/** As many as a worker keeps; some 260 bytes each. */
const keptMaxCount = 50_000;
/** How many are looked at for one that can go, each time that another one comes. */
const looksMax = 64;

/**
 * Of all routes and endpoints of a worker, what is known of them. When there are too many, one that nobody uses and that
 * was not used lately is forgotten. It then has to show anew how it answers before its silence counts, which takes five
 * answers: what is forgotten takes nobody out.
 *
 * "Lately" is since a hand that goes round came by last: then a use costs a mark, where a list in the order of uses would
 * touch two neighbours each time, which with 1,000 routes are in no cache (bench W1r: 0.4 us of a request).
 * Source: CLOCK; F. J. Corbató, "A paging experiment with the Multics system", 1968.
 */
export class KeptWaits {
  readonly #maxCount: number;
  readonly #all: Kept[] = [];
  #hand = 0;

  /** @param maxCount passed only by what is in use, and for a while where all were used lately */
  constructor(maxCount = keptMaxCount) {
    this.#maxCount = maxCount;
  }

  get count(): number {
    return this.#all.length;
  }

  add(kept: Kept): void {
    if (this.#all.length >= this.#maxCount) this.#makeRoom();
    kept.keptAt = this.#all.length;
    this.#all.push(kept);
  }

  /** It is gone, or never was there. */
  remove(kept: Kept): void {
    const { keptAt } = kept;
    if (keptAt < 0) return;
    const last = this.#all.pop()!;
    if (last !== kept) {
      this.#all[keptAt] = last;
      last.keptAt = keptAt;
    }
    kept.keptAt = -1;
  }

  #makeRoom(): void {
    for (let looks = 0; looks < looksMax && this.#all.length >= this.#maxCount; looks++) {
      if (this.#hand >= this.#all.length) this.#hand = 0;
      const kept = this.#all[this.#hand]!;
      if (kept.isInUse || kept.wasUsed) {
        kept.wasUsed = false;
        this.#hand++;
      } else {
        this.remove(kept);
        kept.forget();
      }
    }
  }
}

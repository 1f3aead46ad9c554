/** What is known of a route and an endpoint while nobody waits there. Linked, so that using it costs the same however many there are. */
export interface Kept {
  previousKept: Kept | null;
  nextKept: Kept | null;
  isKept: boolean;
  /** There are too many others that were used later. */
  forget(): void;
}

/** As many as a worker keeps; some 260 bytes each. */
const keptMaxCount = 50_000;

/**
 * Of all routes and endpoints of a worker, those that nobody waits for, by when they were last used: the one that was used
 * longest ago is forgotten when there are too many. It then has to show anew how it answers before its silence counts,
 * which takes five answers: what is forgotten takes nobody out.
 */
export class KeptWaits {
  readonly #maxCount: number;
  #first: Kept | null = null;
  #last: Kept | null = null;
  #count = 0;

  constructor(maxCount = keptMaxCount) {
    this.#maxCount = maxCount;
  }

  get count(): number {
    return this.#count;
  }

  keep(kept: Kept): void {
    kept.isKept = true;
    kept.previousKept = this.#last;
    if (this.#last === null) this.#first = kept;
    else this.#last.nextKept = kept;
    this.#last = kept;
    if (++this.#count <= this.#maxCount) return;
    const oldest = this.#first!;
    this.release(oldest);
    oldest.forget();
  }

  /** It is in use again, or gone. */
  release(kept: Kept): void {
    if (!kept.isKept) return;
    const { previousKept, nextKept } = kept;
    if (previousKept === null) this.#first = nextKept;
    else previousKept.nextKept = nextKept;
    if (nextKept === null) this.#last = previousKept;
    else nextKept.previousKept = previousKept;
    kept.isKept = false;
    kept.previousKept = null;
    kept.nextKept = null;
    this.#count--;
  }
}

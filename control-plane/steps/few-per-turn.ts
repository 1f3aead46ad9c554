/** What can wait for its turn. */
export interface Queued {
  /** Whether it waits now; only FewPerTurn changes it. */
  isQueued: boolean;
}

/** Places of those that are done, which the others keep; there is always somebody waiting where many come all the time. */
const doneMaxCount = 1_024;

/**
 * Does what there is to do for each of many, a few in a turn of the event loop: what comes from others meanwhile is
 * taken up in between. A thousand streams that are written to in one turn hold up every other request for as long.
 */
export class FewPerTurn<T extends Queued> {
  readonly #perTurn: number;
  readonly #run: (item: T) => void;
  readonly #msPerTurn: number;
  /**
   * In the order they came, null for those before `#next`, which are done. No Set: its tables refer to the ones that took
   * their place, so that one old table keeps all later ones, until V8 collects old objects.
   */
  #waiting: (T | null)[] = [];
  #next = 0;
  #doneInTurn = 0;
  #turnBeganMs = 0;
  /** How many are done in this turn. */
  #share: number;
  #isTurnDue = false;

  /**
   * @param run must not throw
   * @param msPerTurn of many, one is done in the first turn, and twice as many in the next as in one that took no longer than
   * this with all that was set going in it; half as many after one that did. Default: any time, and as many as may be at once
   */
  constructor(perTurn: number, run: (item: T) => void, msPerTurn = Number.POSITIVE_INFINITY) {
    this.#perTurn = perTurn;
    this.#run = run;
    this.#msPerTurn = msPerTurn;
    this.#share = this.#firstShare();
  }

  get isIdle(): boolean {
    return this.#next === this.#waiting.length;
  }

  /** Returns after it was done, where this turn has room for it. One that waits already is not put in again. */
  add(item: T): void {
    if (item.isQueued) return;
    if (this.isIdle && this.#doneInTurn < this.#share) {
      this.#do(item);
      return;
    }
    item.isQueued = true;
    this.#waiting.push(item);
  }

  /** Does nothing more. */
  clear(): void {
    for (const item of this.#waiting) if (item !== null) item.isQueued = false;
    this.#waiting = [];
    this.#next = 0;
  }

  #firstShare(): number {
    return this.#msPerTurn === Number.POSITIVE_INFINITY ? this.#perTurn : 1;
  }

  #do(item: T): void {
    if (this.#doneInTurn++ === 0) this.#turnBeganMs = performance.now();
    if (!this.#isTurnDue) {
      this.#isTurnDue = true;
      setImmediate(() => this.#turn());
    }
    this.#run(item);
  }

  #take(): T {
    const item = this.#waiting[this.#next]!;
    this.#waiting[this.#next++] = null;
    if (this.#next === doneMaxCount) {
      this.#waiting = this.#waiting.slice(doneMaxCount);
      this.#next = 0;
    }
    return item;
  }

  #turn(): void {
    this.#isTurnDue = false;
    this.#doneInTurn = 0;
    const isLate = performance.now() - this.#turnBeganMs > this.#msPerTurn;
    this.#share = isLate ? Math.max(1, this.#share >> 1) : Math.min(this.#perTurn, this.#share * 2);
    while (!this.isIdle && this.#doneInTurn < this.#share) {
      const item = this.#take();
      item.isQueued = false;
      this.#do(item);
    }
    if (!this.isIdle) return;
    this.clear();
    this.#share = this.#firstShare();
  }
}

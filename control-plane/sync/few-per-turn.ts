/** What can wait for its turn. */
export interface Queued {
  /** Whether it waits now; only FewPerTurn changes it. */
  isQueued: boolean;
}

/**
 * Does what there is to do for each of many, a few in a turn of the event loop: what comes from others meanwhile is
 * taken up in between. A thousand streams that are written to in one turn hold up every other request for as long.
 */
export class FewPerTurn<T extends Queued> {
  readonly #perTurn: number;
  readonly #run: (item: T) => void;
  /**
   * In the order they came, those before `#next` are done. No Set: its tables refer to the ones that took their place,
   * so that one old table keeps all later ones, until V8 collects old objects.
   */
  #waiting: T[] = [];
  #next = 0;
  #doneInTurn = 0;
  #isTurnDue = false;

  /** @param run must not throw */
  constructor(perTurn: number, run: (item: T) => void) {
    this.#perTurn = perTurn;
    this.#run = run;
  }

  get isIdle(): boolean {
    return this.#next === this.#waiting.length;
  }

  /** Returns after it was done, where this turn has room for it. One that waits already is not put in again. */
  add(item: T): void {
    if (item.isQueued) return;
    if (this.isIdle && this.#doneInTurn < this.#perTurn) {
      this.#do(item);
      return;
    }
    item.isQueued = true;
    this.#waiting.push(item);
  }

  /** Does nothing more. */
  clear(): void {
    for (const item of this.#waiting.splice(this.#next)) item.isQueued = false;
    this.#waiting = [];
    this.#next = 0;
  }

  #do(item: T): void {
    this.#doneInTurn++;
    if (!this.#isTurnDue) {
      this.#isTurnDue = true;
      setImmediate(() => this.#turn());
    }
    this.#run(item);
  }

  #turn(): void {
    this.#isTurnDue = false;
    this.#doneInTurn = 0;
    while (!this.isIdle && this.#doneInTurn < this.#perTurn) {
      const item = this.#waiting[this.#next++]!;
      item.isQueued = false;
      this.#do(item);
    }
    if (this.isIdle) this.clear();
  }
}

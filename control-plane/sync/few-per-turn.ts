/**
 * Does what there is to do for each of many, a few in a turn of the event loop: what comes from others meanwhile is
 * taken up in between. A thousand streams that are written to in one turn hold up every other request for as long.
 */
export class FewPerTurn<T> {
  readonly #perTurn: number;
  readonly #run: (item: T) => void;
  /** In the order they came; one that waits already is not put in again. */
  readonly #waiting = new Set<T>();
  #doneInTurn = 0;
  #isTurnDue = false;

  /** @param run must not throw */
  constructor(perTurn: number, run: (item: T) => void) {
    this.#perTurn = perTurn;
    this.#run = run;
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /** Returns after it was done, where this turn has room for it. */
  add(item: T): void {
    if (this.#waiting.size === 0 && this.#doneInTurn < this.#perTurn) this.#do(item);
    else this.#waiting.add(item);
  }

  /** Does nothing more. */
  clear(): void {
    this.#waiting.clear();
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
    for (const item of this.#waiting) {
      if (this.#doneInTurn >= this.#perTurn) return;
      this.#waiting.delete(item);
      this.#do(item);
    }
  }
}

import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { Timers } from "../upstream/timers.ts";

export interface TrialsOptions {
  readonly table: EndpointTable;
  readonly timers: Timers;
  /** Nobody asked for anything that would do. @param byAny what was offered */
  readonly onUntaken: (row: number, byAny: boolean) => void;
}

/** A trial that nobody takes for so long is not going to be. */
const takeWithinMs = 2_000;
/** A trial that was taken and of which nobody has heard for so long: its worker is gone. */
const answerWithinMs = 120_000;

/**
 * Offers endpoints that are out one request each, for the workers to take: one at a time in each pool, so that at most
 * one request pays for finding out.
 */
export class Trials {
  readonly #options: TrialsOptions;
  /** By pool row: the endpoint that is offered or being tried. */
  readonly #current = new Map<number, { readonly row: number; cancelTimer: () => void }>();
  readonly #waiting = new Map<number, { readonly row: number; readonly byAny: boolean }[]>();

  constructor(options: TrialsOptions) {
    this.#options = options;
  }

  /** @param byAny whether a request that may not be sent again will do */
  offer(poolRow: number, row: number, byAny: boolean): void {
    const current = this.#current.get(poolRow);
    const waiting = this.#waiting.get(poolRow) ?? [];
    if (current === undefined) this.#begin(poolRow, row, byAny);
    else if (current.row !== row) this.#waiting.set(poolRow, [...waiting, { row, byAny }]);
  }

  /** A trial has ended, or is not needed any more; the next endpoint of the pool has its turn. */
  end(poolRow: number, row: number): void {
    const waiting = this.#waiting.get(poolRow)?.filter((each) => each.row !== row) ?? [];
    this.#waiting.set(poolRow, waiting);
    const current = this.#current.get(poolRow);
    if (current === undefined || current.row !== row) return;
    current.cancelTimer();
    this.#current.delete(poolRow);
    this.#options.table.takeTrial(poolRow);
    const next = waiting.shift();
    if (next !== undefined) this.#begin(poolRow, next.row, next.byAny);
    else this.#waiting.delete(poolRow);
  }

  /** The endpoint is in use no more. */
  forget(row: number): void {
    for (const poolRow of new Set([...this.#current.keys(), ...this.#waiting.keys()])) this.end(poolRow, row);
  }

  isUnderWay(poolRow: number, row: number): boolean {
    return this.#current.get(poolRow)?.row === row;
  }

  close(): void {
    for (const { cancelTimer } of this.#current.values()) cancelTimer();
    this.#current.clear();
    this.#waiting.clear();
  }

  #begin(poolRow: number, row: number, byAny: boolean): void {
    const { table, timers } = this.#options;
    table.offerTrial(poolRow, row, byAny);
    const current = { row, cancelTimer: () => {} };
    const giveUp = () => {
      this.end(poolRow, row);
      this.#options.onUntaken(row, byAny);
    };
    current.cancelTimer = timers.after(takeWithinMs, () => {
      if (table.takeTrial(poolRow) === row) giveUp();
      else current.cancelTimer = timers.after(answerWithinMs, giveUp);
    });
    this.#current.set(poolRow, current);
  }
}

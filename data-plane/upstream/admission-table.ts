import { isBefore, ticketAfter } from "../health/ticket.ts";
import { type ColumnLayout, PoolWord, type TableLayout } from "./table-layout.ts";

/** What `clearColumn` has to look at: rows from these numbers on were never given out. */
export interface UsedRows {
  readonly pools: number;
  readonly endpoints: number;
}

/**
 * How many requests each pool, and how many attempts each endpoint has admitted, over all threads of the node, and who
 * waits for a turn. It lies in the memory of the endpoint table, whose counts of what is under way are these: so a limit
 * that is newly set counts what began before it.
 *
 * There is no shared count, only each thread's own, in its column: V8 may end a thread between any two instructions, and a
 * count that is kept twice would be wrong for ever then. So a thread counts itself in and looks at the sum afterwards. Of
 * those that did so at the same time the last one sees all others: whoever sees no more than the limit is in, and those
 * that are in are never more.
 *
 * Cost: 0.3 us for an admission and its end with 10 columns (four workers), 0.7 us with 34; some 3 us for one to both and
 * its end while four threads on two cores do nothing else (`npm run prove -- limits`).
 */
export class AdmissionTable {
  readonly #words: Int32Array;
  readonly #layout: TableLayout;
  readonly #columns: readonly ColumnLayout[];
  /** This thread's. */
  readonly #own: ColumnLayout;
  readonly #ownColumn: number;
  /** From a cell of this thread to the same one of the thread with this number. */
  readonly #offsets: Int32Array;

  constructor(words: Int32Array, layout: TableLayout, column: number) {
    this.#words = words;
    this.#layout = layout;
    this.#columns = layout.columns();
    this.#own = layout.column(column);
    this.#ownColumn = column;
    this.#offsets = Int32Array.from(this.#columns, ({ inFlight }) => inFlight - this.#own.inFlight);
  }

  /** Admits an attempt at the endpoint, unless `max` of them are. */
  admitToEndpoint(row: number, max: number): boolean {
    return this.#enter(this.#own.inFlight + row, max);
  }

  /** Admits an attempt at an endpoint that takes any number. */
  countAtEndpoint(row: number): void {
    Atomics.add(this.#words, this.#own.inFlight + row, 1);
  }

  leaveEndpoint(row: number): void {
    Atomics.sub(this.#words, this.#own.inFlight + row, 1);
  }

  /** Whether the endpoint seems to be full: whoever goes by it is told again when it is admitted. */
  isEndpointFull(row: number, max: number): boolean {
    return this.#glance(this.#own.inFlight + row) >= max;
  }

  admittedToEndpoint(row: number): number {
    return this.#sum(this.#own.inFlight + row);
  }

  /** Admits a request to the pool, unless `max` of them are. */
  admitToPool(poolRow: number, max: number): boolean {
    return this.#enter(this.#own.poolInFlight + poolRow, max);
  }

  /** Admits a request to a pool that takes any number. */
  countInPool(poolRow: number): void {
    Atomics.add(this.#words, this.#own.poolInFlight + poolRow, 1);
  }

  leavePool(poolRow: number): void {
    Atomics.sub(this.#words, this.#own.poolInFlight + poolRow, 1);
  }

  admittedToPool(poolRow: number): number {
    return this.#sum(this.#own.poolInFlight + poolRow);
  }

  /** One more waits for its turn in the pool, unless `max` do. @returns its ticket; 0 when it may not wait */
  beginToWait(poolRow: number, max: number): number {
    if (!this.#enter(this.#own.waiting + poolRow, max)) return 0;
    const cell = this.#layout.pool(poolRow, PoolWord.lastTicket);
    for (;;) {
      const last = Atomics.load(this.#words, cell);
      const ticket = ticketAfter(last);
      if (Atomics.compareExchange(this.#words, cell, last, ticket) === last) return ticket;
    }
  }

  /** It waits no longer, whatever became of it. */
  endWaiting(poolRow: number): void {
    Atomics.sub(this.#words, this.#own.waiting + poolRow, 1);
  }

  /** Whether a newcomer to the pool has to go behind others, of whatever thread. Cost: plain loads where nobody waits. */
  hasOrder(poolRow: number): boolean {
    return this.#glance(this.#own.waiting + poolRow) > 0 && this.oldestTicket(poolRow) !== 0;
  }

  /** How many wait in the pool. */
  waitingCount(poolRow: number): number {
    return this.#sum(this.#own.waiting + poolRow);
  }

  /** Says whom of this thread's the pool's next turn is due to. @param ticket 0 when none waits */
  publishOldest(poolRow: number, ticket: number): void {
    Atomics.store(this.#words, this.#own.oldestTicket + poolRow, ticket);
  }

  /** The ticket in the pool that the next turn is due to; 0 when none waits. */
  oldestTicket(poolRow: number): number {
    let oldest = 0;
    for (let column = 0; column < this.#columns.length; column++) {
      const ticket = Atomics.load(this.#words, this.#columns[column]!.oldestTicket + poolRow);
      if (ticket !== 0 && (oldest === 0 || isBefore(ticket, oldest))) oldest = ticket;
    }
    return oldest;
  }

  /** Tells the thread that has this ticket that there may be room. @returns false where that is this one */
  wakeHolder(poolRow: number, ticket: number): boolean {
    for (let column = 0; column < this.#columns.length; column++) {
      if (Atomics.load(this.#words, this.#columns[column]!.oldestTicket + poolRow) !== ticket) continue;
      if (column === this.#ownColumn) return false;
      this.#wake(this.#columns[column]!);
      return true;
    }
    return true;
  }

  #wake({ wakes }: ColumnLayout): void {
    Atomics.add(this.#words, wakes, 1);
    Atomics.notify(this.#words, wakes);
  }

  wakeSelf(): void {
    this.#wake(this.#own);
  }

  /** How often this thread was woken until now. */
  wakeCount(): number {
    return Atomics.load(this.#words, this.#own.wakes);
  }

  /** Resolves when this thread has been woken more often than that. It keeps no process alive. */
  async wokenSince(wakeCount: number): Promise<void> {
    const { wakes } = this.#own;
    for (;;) {
      const waiting = Atomics.waitAsync(this.#words, wakes, wakeCount);
      if (waiting.async) await waiting.value;
      if (Atomics.load(this.#words, wakes) !== wakeCount) return;
    }
  }

  /** Main thread: what a thread that is gone held is free again, and those that wait elsewhere hear of it. */
  clearColumn(column: number, used: UsedRows): void {
    const { inFlight, poolInFlight, waiting, oldestTicket } = this.#columns[column]!;
    this.#clearCells(oldestTicket, used.pools);
    this.#clearCells(waiting, used.pools);
    this.#clearCells(inFlight, used.endpoints);
    this.#clearCells(poolInFlight, used.pools);
    for (const each of this.#columns) this.#wake(each);
  }

  /** Only cells that are not zero: writing to one makes its page take memory. */
  #clearCells(first: number, count: number): void {
    for (let at = first; at < first + count; at++) if (this.#words[at] !== 0) Atomics.store(this.#words, at, 0);
  }

  #enter(ownCell: number, max: number): boolean {
    // Most of those that find no room are spared the others' cache lines being taken from them.
    if (this.#glance(ownCell) >= max) return false;
    do {
      Atomics.add(this.#words, ownCell, 1);
      if (this.#sum(ownCell) <= max) return true;
      Atomics.sub(this.#words, ownCell, 1);
      // Of two that found one place, the one that leaves last finds it free: so it does not stay empty.
    } while (this.#sum(ownCell) < max);
    return false;
  }

  /** Of this cell in all columns, as it was a moment ago. Cost: a quarter of `#sum`. */
  #glance(ownCell: number): number {
    const offsets = this.#offsets;
    let sum = 0;
    for (let column = 0; column < offsets.length; column++) sum += this.#words[ownCell + offsets[column]!]!;
    return sum;
  }

  /** Of this cell in all columns, with everything that was done before this thread's own last change. */
  #sum(ownCell: number): number {
    const offsets = this.#offsets;
    let sum = 0;
    for (let column = 0; column < offsets.length; column++)
      sum += Atomics.load(this.#words, ownCell + offsets[column]!);
    return sum;
  }
}

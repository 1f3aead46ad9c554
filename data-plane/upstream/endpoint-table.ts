import type { EndpointFlag, EndpointState } from "../balance/endpoint-state.ts";
import { AdmissionTable } from "./admission-table.ts";
import { RowAllocator } from "./row-allocator.ts";
import { type ColumnLayout, ENDPOINT_WORDS, EndpointWord, PoolWord, TableLayout } from "./table-layout.ts";

export interface EndpointTableOptions {
  /** Endpoints that can exist at once on the node. Default 65,536. */
  readonly endpointRowsMax?: number;
  /** Pools that can exist at once on the node. Default 16,384. */
  readonly poolRowsMax?: number;
  /** Threads that can carry traffic at once, those that are leaving included. Default 8. */
  readonly columnsMax?: number;
}

/** Set beside the row where any request will do. */
const TRIAL_BY_ANY = 1 << 30;

/** Taken out by a worker, for what it did to traffic. */
const EJECTED = 1;
/** Out by the word of health checks. */
const UNHEALTHY = 2;
/** Decided by a person. */
const FORCED_OUT = 4;
const FORCED_IN = 8;
/** Beside "ejected": for its silence, so that what waits there goes elsewhere. */
const STALLED = 16;

const flagBits: Readonly<Record<EndpointFlag, number>> = {
  ejected: EJECTED,
  unhealthy: UNHEALTHY,
  forced_out: FORCED_OUT,
  forced_in: FORCED_IN,
  stalled: STALLED,
};

const rampMax = 1_000;
const countMask = 0xff;
const statusShift = 8;

/**
 * The rows that the threads of a node share: per pool the round-robin cursor, the availability generation and the
 * trial, per endpoint why it is out and what was counted against it, per endpoint and worker how many attempts are under
 * way. The main thread creates the table, gives out the rows and ends ejections; workers attach to the same buffer,
 * advance cursors, eject, and count in a column of their own.
 *
 * Cost: about 10 ns per operation, 50 ns when every thread hammers one pool. Pages that no row has touched
 * take no memory.
 */
export class EndpointTable implements EndpointState {
  readonly buffer: SharedArrayBuffer;
  /** Who is admitted where limits are, and who waits. */
  readonly admissions: AdmissionTable;
  readonly #words: Int32Array;
  readonly #layout: TableLayout;
  readonly #columns: readonly ColumnLayout[];
  /** This thread's own column. */
  readonly #own: ColumnLayout;
  /** Only where the table was created: two allocators would give out the same row. */
  readonly #rows: { readonly pools: RowAllocator; readonly endpoints: RowAllocator } | null;

  private constructor(buffer: SharedArrayBuffer, isOwner: boolean, column: number) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#layout = TableLayout.of(this.#words);
    this.#columns = this.#layout.columns();
    this.#own = this.#layout.column(column);
    this.admissions = new AdmissionTable(this.#words, this.#layout, column);
    const { poolRows, endpointRows } = this.#layout.size;
    this.#rows = isOwner
      ? { pools: new RowAllocator("pool", poolRows), endpoints: new RowAllocator("endpoint", endpointRows) }
      : null;
  }

  /** On the main thread: a new table with every row free. */
  static create(options: EndpointTableOptions = {}): EndpointTable {
    const layout = new TableLayout({
      poolRows: options.poolRowsMax ?? 16_384,
      endpointRows: options.endpointRowsMax ?? 65_536,
      columns: options.columnsMax ?? 8,
    });
    const buffer = new SharedArrayBuffer(layout.wordCount * Int32Array.BYTES_PER_ELEMENT);
    layout.mark(new Int32Array(buffer));
    return new EndpointTable(buffer, true, 0);
  }

  /**
   * In a worker: the table that the main thread created. Its rows are given out there alone.
   * @param column the worker's own, which no other thread has at the same time
   */
  static attach(buffer: SharedArrayBuffer, column = 0): EndpointTable {
    return new EndpointTable(buffer, false, column);
  }

  isOut(row: number): boolean {
    const flags = Atomics.load(this.#words, this.#layout.endpoint(row, EndpointWord.flags));
    return (flags & FORCED_IN) === 0 && (flags & (EJECTED | UNHEALTHY | FORCED_OUT)) !== 0;
  }

  has(row: number, flag: EndpointFlag): boolean {
    return (Atomics.load(this.#words, this.#layout.endpoint(row, EndpointWord.flags)) & flagBits[flag]) !== 0;
  }

  generation(poolRow: number): number {
    return Atomics.load(this.#words, this.#layout.pool(poolRow, PoolWord.generation));
  }

  cursor(poolRow: number): number {
    return Atomics.load(this.#words, this.#layout.pool(poolRow, PoolWord.cursor)) >>> 0;
  }

  advanceCursor(poolRow: number): number {
    return Atomics.add(this.#words, this.#layout.pool(poolRow, PoolWord.cursor), 1) >>> 0;
  }

  advanceCursorPast(poolRow: number, skips: Uint16Array): number {
    const cell = this.#layout.pool(poolRow, PoolWord.cursor);
    for (;;) {
      const stood = Atomics.load(this.#words, cell);
      const taken = (stood >>> 0) + skips[(stood >>> 0) % skips.length]!;
      if (Atomics.compareExchange(this.#words, cell, stood, (taken + 1) | 0) === stood) return taken >>> 0;
    }
  }

  eject(poolRow: number, row: number): boolean {
    return this.setFlag(poolRow, row, "ejected", true);
  }

  /** Main thread: ends an ejection, and what was counted against the endpoint with it; false when there was none. */
  readmit(poolRow: number, row: number): boolean {
    this.clearOutlierCounts(row);
    this.setFlag(poolRow, row, "stalled", false);
    return this.setFlag(poolRow, row, "ejected", false);
  }

  /** @returns false when it was so already */
  setFlag(poolRow: number, row: number, flag: EndpointFlag, isSet: boolean): boolean {
    const bit = flagBits[flag];
    const cell = this.#layout.endpoint(row, EndpointWord.flags);
    const before = isSet ? Atomics.or(this.#words, cell, bit) : Atomics.and(this.#words, cell, ~bit);
    if (((before & bit) !== 0) === isSet) return false;
    if (isSet && bit !== FORCED_IN && bit !== STALLED) {
      Atomics.store(this.#words, this.#layout.endpoint(row, EndpointWord.outOrder), this.generation(poolRow) + 1);
    }
    // After the flag, never before: who reads the new generation must also see the flag, or its wheel stays stale.
    this.#nextGeneration(poolRow);
    return true;
  }

  #nextGeneration(poolRow: number): void {
    Atomics.add(this.#words, this.#layout.pool(poolRow, PoolWord.generation), 1);
  }

  outOrder(row: number): number {
    return Atomics.load(this.#words, this.#layout.endpoint(row, EndpointWord.outOrder));
  }

  ramp(row: number): number {
    return rampMax - Atomics.load(this.#words, this.#layout.endpoint(row, EndpointWord.heldBack));
  }

  /** Main thread. @param thousandths of its weight that the endpoint has from now on, 0 to 1000 */
  setRamp(poolRow: number, row: number, thousandths: number): void {
    Atomics.store(this.#words, this.#layout.endpoint(row, EndpointWord.heldBack), rampMax - thousandths);
    this.#nextGeneration(poolRow);
  }

  latencyUs(row: number): number {
    return this.#words[this.#layout.endpoint(row, EndpointWord.latency)]!;
  }

  latencyAgeMs(row: number, nowMs: number): number {
    return (clockMs(nowMs) - this.#words[this.#layout.endpoint(row, EndpointWord.latencyAt)]!) | 0;
  }

  /** Cost: two plain stores; of two workers that write at once, one is forgotten. */
  setLatency(row: number, latencyUs: number, nowMs: number): void {
    this.#words[this.#layout.endpoint(row, EndpointWord.latency)] = latencyUs;
    this.#words[this.#layout.endpoint(row, EndpointWord.latencyAt)] = clockMs(nowMs);
  }

  /**
   * Main thread: the next request goes to this endpoint, whatever else is said of it.
   * @param byAny false: the next one that may be sent again
   */
  offerTrial(poolRow: number, row: number, byAny: boolean): void {
    const offered = (row + 1) | (byAny ? TRIAL_BY_ANY : 0);
    Atomics.store(this.#words, this.#layout.pool(poolRow, PoolWord.trial), offered);
  }

  /** Cost: a plain load, since a trial that is seen a moment late is as good. */
  hasTrial(poolRow: number): boolean {
    return this.#words[this.#layout.pool(poolRow, PoolWord.trial)] !== 0;
  }

  isTrialByAny(poolRow: number): boolean {
    return (this.#words[this.#layout.pool(poolRow, PoolWord.trial)]! & TRIAL_BY_ANY) !== 0;
  }

  /** Row of the endpoint to be tried, for the one caller of all threads that takes it; -1 for the others. */
  takeTrial(poolRow: number): number {
    const offered = Atomics.exchange(this.#words, this.#layout.pool(poolRow, PoolWord.trial), 0);
    return (offered & ~TRIAL_BY_ANY) - 1;
  }

  /** Four counters in one word, as health/check-counts.ts packs them. */
  checkCounts(row: number): number {
    return Atomics.load(this.#words, this.#layout.endpoint(row, EndpointWord.checkCounts));
  }

  /** @returns false when another thread was faster: read again */
  replaceCheckCounts(row: number, expected: number, wanted: number): boolean {
    const cell = this.#layout.endpoint(row, EndpointWord.checkCounts);
    return Atomics.compareExchange(this.#words, cell, expected, wanted) === expected;
  }

  /** @returns how many there were in a row, with this one, 1 to 255 */
  countReset(row: number): number {
    return this.#countOutlier(row, 0);
  }

  /** @returns how many there were in a row, with this one, 1 to 255 */
  countBadStatus(row: number): number {
    return this.#countOutlier(row, statusShift);
  }

  /** A good answer: nothing is in a row any more. Cost: a load, where nothing was counted. */
  clearOutlierCounts(row: number): void {
    const cell = this.#layout.endpoint(row, EndpointWord.outlierCounts);
    if (this.#words[cell] !== 0) Atomics.store(this.#words, cell, 0);
  }

  #countOutlier(row: number, shift: number): number {
    const cell = this.#layout.endpoint(row, EndpointWord.outlierCounts);
    for (;;) {
      const word = Atomics.load(this.#words, cell);
      const count = Math.min(((word >>> shift) & countMask) + 1, countMask);
      const wanted = (word & ~(countMask << shift)) | (count << shift);
      if (Atomics.compareExchange(this.#words, cell, word, wanted) === word) return count;
    }
  }

  /** The endpoint has begun to answer something. Cost: a plain store. */
  answered(row: number, nowMs: number): void {
    this.#words[this.#layout.endpoint(row, EndpointWord.lastAnswer)] = clockMs(nowMs);
  }

  /** Milliseconds since it last began to answer anything to any worker; a long time when it never did. */
  silentForMs(row: number, nowMs: number): number {
    const at = this.#words[this.#layout.endpoint(row, EndpointWord.lastAnswer)]!;
    return at === 0 ? Number.POSITIVE_INFINITY : (clockMs(nowMs) - at) | 0;
  }

  /** In a worker, where nothing is limited. Cost: plain additions, since nobody else writes this worker's column. */
  attemptBegins(poolRow: number, row: number): void {
    this.#words[this.#own.inFlight + row]!++;
    this.#words[this.#own.poolInFlight + poolRow]!++;
  }

  attemptEnds(poolRow: number, row: number): void {
    this.#words[this.#own.inFlight + row]!--;
    this.#words[this.#own.poolInFlight + poolRow]!--;
  }

  isAtLimit(row: number, max: number): boolean {
    return this.admissions.isEndpointFull(row, max);
  }

  /** Attempts of all workers that are under way at the endpoint: exact but for what changes meanwhile. */
  inFlight(row: number): number {
    const columns = this.#columns;
    let sum = 0;
    for (let column = 0; column < columns.length; column++) sum += this.#words[columns[column]!.inFlight + row]!;
    return sum;
  }

  poolInFlight(poolRow: number): number {
    const columns = this.#columns;
    let sum = 0;
    for (let column = 0; column < columns.length; column++) {
      sum += this.#words[columns[column]!.poolInFlight + poolRow]!;
    }
    return sum;
  }

  /** Whether an attempt is under way at the endpoint: until then its row must not be another's. */
  isBusy(row: number): boolean {
    return this.inFlight(row) !== 0;
  }

  /** The same of a pool; a request that waits for its turn counts. */
  isPoolBusy(poolRow: number): boolean {
    return this.poolInFlight(poolRow) !== 0 || this.admissions.waitingCount(poolRow) !== 0;
  }

  /** Attempts under way at all endpoints. Main thread. */
  inFlightTotal(): number {
    const usedCount = this.#owned().endpoints.everUsedCount;
    let sum = 0;
    for (const { inFlight } of this.#columns) {
      for (let at = inFlight; at < inFlight + usedCount; at++) sum += this.#words[at]!;
    }
    return sum;
  }

  /** Main thread: what a worker that is gone had under way ended with it. Before the column is used again. */
  clearColumn(column: number): void {
    const { endpoints, pools } = this.#owned();
    this.admissions.clearColumn(column, { endpoints: endpoints.everUsedCount, pools: pools.everUsedCount });
  }

  /** A row whose cursor starts at 0, or null when all are taken. */
  allocatePoolRow(): number | null {
    return this.#owned().pools.take();
  }

  /** Gives the row back. Only when no worker holds a snapshot that names it. */
  freePoolRow(poolRow: number): void {
    this.#owned().pools.giveBack(poolRow);
    Atomics.store(this.#words, this.#layout.pool(poolRow, PoolWord.cursor), 0);
    Atomics.store(this.#words, this.#layout.pool(poolRow, PoolWord.trial), 0);
    // The generation goes on growing, so that whoever cached the former pool's cannot meet it again.
    Atomics.add(this.#words, this.#layout.pool(poolRow, PoolWord.generation), 1);
  }

  /** A row that is in the rotation, or null when all are taken. */
  allocateEndpointRow(): number | null {
    return this.#owned().endpoints.take();
  }

  /** Gives the row back, with nothing known of it. Only when no worker holds an endpoint set that names it. */
  freeEndpointRow(row: number): void {
    this.#owned().endpoints.giveBack(row);
    for (let word = 0; word < ENDPOINT_WORDS; word++) Atomics.store(this.#words, this.#layout.endpoint(row, word), 0);
  }

  #owned() {
    if (this.#rows === null) throw new Error("rows are given out by the thread that created the table");
    return this.#rows;
  }
}

/** performance.now() counts from another moment in every thread; hrtime is the same in all, and never set back. */
const threadOffsetMs = Number(process.hrtime.bigint() / 1_000_000n) - performance.now();

/** @param nowMs of performance.now() @returns whole milliseconds, the same in all threads, of 32 bits, never 0 */
function clockMs(nowMs: number): number {
  return Math.floor(threadOffsetMs + nowMs) | 0 || 1;
}

import type { EndpointFlag, EndpointState } from "../balance/endpoint-state.ts";
import { RowAllocator } from "./row-allocator.ts";

export interface EndpointTableOptions {
  /** Endpoints that can exist at once on the node. Default 65,536. */
  readonly endpointRowsMax?: number;
  /** Pools that can exist at once on the node. Default 16,384. */
  readonly poolRowsMax?: number;
  /** Threads that can carry traffic at once, those that are leaving included. Default 8. */
  readonly columnsMax?: number;
}

// All cells are 32-bit words. A pool row is a whole cache line, so that the cursors of two busy pools never
// share one. After the endpoints come the columns, one per thread that carries traffic, with a cell per endpoint row and
// then one per pool row: columns do not share a cache line either.
const HEADER_WORDS = 16;
const HEADER_LAYOUT = 0;
const HEADER_POOL_ROWS = 1;
const HEADER_ENDPOINT_ROWS = 2;
const HEADER_COLUMNS = 3;
/** Written at word 0: attaching to a buffer of another layout is a bug that must show at once. */
const LAYOUT_VERSION = 0x70730004;

const POOL_WORDS = 16;
const POOL_CURSOR = 0;
const POOL_GENERATION = 1;
/** Row of the endpoint that is to get one request as a trial, plus 1; 0 for none. */
const POOL_TRIAL = 2;
/** Set beside the row where any request will do. */
const TRIAL_BY_ANY = 1 << 30;

/** A cache line. */
const ENDPOINT_WORDS = 16;
const ENDPOINT_FLAGS = 0;
/** Four counters of eight bits, of Kong's health checks. */
const ENDPOINT_CHECK_COUNTS = 1;
/** Bits 0 to 7: resets in a row; 8 to 15: bad answers in a row. */
const ENDPOINT_OUTLIER_COUNTS = 2;
/** When it last answered; see `clockMs`. */
const ENDPOINT_LAST_ANSWER = 3;
/** Microseconds; see peak-ewma.ts. */
const ENDPOINT_LATENCY = 4;
/** When that was written; see `clockMs`. */
const ENDPOINT_LATENCY_AT = 5;
/** Thousandths of its weight that it does not have, so that a new row has all. */
const ENDPOINT_HELD_BACK = 6;
/** The pool's generation when it last went out. */
const ENDPOINT_OUT_ORDER = 7;

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

/** Two cache lines: neighbours are fetched in pairs. */
const COLUMN_ALIGN_WORDS = 32;

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
  readonly #words: Int32Array;
  readonly #endpointsAt: number;
  /** Where this thread's own column begins. */
  readonly #cellsAt: number;
  readonly #columnsAt: number;
  readonly #columnWords: number;
  readonly #columnCount: number;
  /** From a column's beginning to its pools. */
  readonly #poolCellsAt: number;
  /** Only where the table was created: two allocators would give out the same row. */
  readonly #rows: { readonly pools: RowAllocator; readonly endpoints: RowAllocator } | null;

  private constructor(buffer: SharedArrayBuffer, isOwner: boolean, column: number) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    if (this.#words[HEADER_LAYOUT] !== LAYOUT_VERSION)
      throw new Error("not an endpoint table, or one of another layout");
    const poolRows = this.#words[HEADER_POOL_ROWS]!;
    const endpointRows = this.#words[HEADER_ENDPOINT_ROWS]!;
    this.#endpointsAt = HEADER_WORDS + poolRows * POOL_WORDS;
    this.#columnWords = columnWords(poolRows, endpointRows);
    this.#poolCellsAt = endpointRows;
    this.#columnCount = this.#words[HEADER_COLUMNS]!;
    if (column >= this.#columnCount) throw new Error(`column ${column} of ${this.#columnCount}`);
    this.#columnsAt = columnsAt(poolRows, endpointRows);
    this.#cellsAt = this.#firstCell(column);
    this.#rows = isOwner
      ? { pools: new RowAllocator("pool", poolRows), endpoints: new RowAllocator("endpoint", endpointRows) }
      : null;
  }

  /** On the main thread: a new table with every row free. */
  static create(options: EndpointTableOptions = {}): EndpointTable {
    const poolRows = options.poolRowsMax ?? 16_384;
    const endpointRows = options.endpointRowsMax ?? 65_536;
    const columns = options.columnsMax ?? 8;
    const wordCount = columnsAt(poolRows, endpointRows) + columns * columnWords(poolRows, endpointRows);
    const buffer = new SharedArrayBuffer(wordCount * Int32Array.BYTES_PER_ELEMENT);
    const header = new Int32Array(buffer, 0, HEADER_WORDS);
    header[HEADER_LAYOUT] = LAYOUT_VERSION;
    header[HEADER_POOL_ROWS] = poolRows;
    header[HEADER_ENDPOINT_ROWS] = endpointRows;
    header[HEADER_COLUMNS] = columns;
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
    const flags = Atomics.load(this.#words, this.#cellOf(row, ENDPOINT_FLAGS));
    return (flags & FORCED_IN) === 0 && (flags & (EJECTED | UNHEALTHY | FORCED_OUT)) !== 0;
  }

  has(row: number, flag: EndpointFlag): boolean {
    return (Atomics.load(this.#words, this.#cellOf(row, ENDPOINT_FLAGS)) & flagBits[flag]) !== 0;
  }

  generation(poolRow: number): number {
    return Atomics.load(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION);
  }

  cursor(poolRow: number): number {
    return Atomics.load(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_CURSOR) >>> 0;
  }

  advanceCursor(poolRow: number): number {
    return Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_CURSOR, 1) >>> 0;
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
    const cell = this.#cellOf(row, ENDPOINT_FLAGS);
    const before = isSet ? Atomics.or(this.#words, cell, bit) : Atomics.and(this.#words, cell, ~bit);
    if (((before & bit) !== 0) === isSet) return false;
    if (isSet && bit !== FORCED_IN && bit !== STALLED) {
      Atomics.store(this.#words, this.#cellOf(row, ENDPOINT_OUT_ORDER), this.generation(poolRow) + 1);
    }
    // After the flag, never before: who reads the new generation must also see the flag, or its wheel stays stale.
    this.#nextGeneration(poolRow);
    return true;
  }

  #nextGeneration(poolRow: number): void {
    Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION, 1);
  }

  outOrder(row: number): number {
    return Atomics.load(this.#words, this.#cellOf(row, ENDPOINT_OUT_ORDER));
  }

  ramp(row: number): number {
    return rampMax - Atomics.load(this.#words, this.#cellOf(row, ENDPOINT_HELD_BACK));
  }

  /** Main thread. @param thousandths of its weight that the endpoint has from now on, 0 to 1000 */
  setRamp(poolRow: number, row: number, thousandths: number): void {
    Atomics.store(this.#words, this.#cellOf(row, ENDPOINT_HELD_BACK), rampMax - thousandths);
    this.#nextGeneration(poolRow);
  }

  latencyUs(row: number): number {
    return this.#words[this.#cellOf(row, ENDPOINT_LATENCY)]!;
  }

  latencyAgeMs(row: number, nowMs: number): number {
    return (clockMs(nowMs) - this.#words[this.#cellOf(row, ENDPOINT_LATENCY_AT)]!) | 0;
  }

  /** Cost: two plain stores; of two workers that write at once, one is forgotten. */
  setLatency(row: number, latencyUs: number, nowMs: number): void {
    this.#words[this.#cellOf(row, ENDPOINT_LATENCY)] = latencyUs;
    this.#words[this.#cellOf(row, ENDPOINT_LATENCY_AT)] = clockMs(nowMs);
  }

  /**
   * Main thread: the next request goes to this endpoint, whatever else is said of it.
   * @param byAny false: the next one that may be sent again
   */
  offerTrial(poolRow: number, row: number, byAny: boolean): void {
    const offered = (row + 1) | (byAny ? TRIAL_BY_ANY : 0);
    Atomics.store(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_TRIAL, offered);
  }

  /** Cost: a plain load, since a trial that is seen a moment late is as good. */
  hasTrial(poolRow: number): boolean {
    return this.#words[HEADER_WORDS + poolRow * POOL_WORDS + POOL_TRIAL] !== 0;
  }

  isTrialByAny(poolRow: number): boolean {
    return (this.#words[HEADER_WORDS + poolRow * POOL_WORDS + POOL_TRIAL]! & TRIAL_BY_ANY) !== 0;
  }

  /** Row of the endpoint to be tried, for the one caller of all threads that takes it; -1 for the others. */
  takeTrial(poolRow: number): number {
    const offered = Atomics.exchange(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_TRIAL, 0);
    return (offered & ~TRIAL_BY_ANY) - 1;
  }

  /** Four counters in one word, as health/check-counts.ts packs them. */
  checkCounts(row: number): number {
    return Atomics.load(this.#words, this.#cellOf(row, ENDPOINT_CHECK_COUNTS));
  }

  /** @returns false when another thread was faster: read again */
  replaceCheckCounts(row: number, expected: number, wanted: number): boolean {
    const cell = this.#cellOf(row, ENDPOINT_CHECK_COUNTS);
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
    const cell = this.#cellOf(row, ENDPOINT_OUTLIER_COUNTS);
    if (this.#words[cell] !== 0) Atomics.store(this.#words, cell, 0);
  }

  #countOutlier(row: number, shift: number): number {
    const cell = this.#cellOf(row, ENDPOINT_OUTLIER_COUNTS);
    for (;;) {
      const word = Atomics.load(this.#words, cell);
      const count = Math.min(((word >>> shift) & countMask) + 1, countMask);
      const wanted = (word & ~(countMask << shift)) | (count << shift);
      if (Atomics.compareExchange(this.#words, cell, word, wanted) === word) return count;
    }
  }

  /** The endpoint has begun to answer something. Cost: a plain store. */
  answered(row: number, nowMs: number): void {
    this.#words[this.#cellOf(row, ENDPOINT_LAST_ANSWER)] = clockMs(nowMs);
  }

  /** Milliseconds since it last began to answer anything to any worker; a long time when it never did. */
  silentForMs(row: number, nowMs: number): number {
    const at = this.#words[this.#cellOf(row, ENDPOINT_LAST_ANSWER)]!;
    return at === 0 ? Number.POSITIVE_INFINITY : (clockMs(nowMs) - at) | 0;
  }

  /** In a worker. Cost: plain additions, since nobody else writes this worker's column. */
  attemptBegins(poolRow: number, row: number): void {
    this.#words[this.#cellsAt + row]!++;
    this.#words[this.#cellsAt + this.#poolCellsAt + poolRow]!++;
  }

  attemptEnds(poolRow: number, row: number): void {
    this.#words[this.#cellsAt + row]!--;
    this.#words[this.#cellsAt + this.#poolCellsAt + poolRow]!--;
  }

  poolInFlight(poolRow: number): number {
    return this.inFlight(this.#poolCellsAt + poolRow);
  }

  isAtLimit(row: number, max: number): boolean {
    return this.inFlight(row) >= max;
  }

  /** Attempts of all workers that are under way at the endpoint: exact but for what changes meanwhile. */
  inFlight(row: number): number {
    let sum = 0;
    for (let column = 0; column < this.#columnCount; column++) sum += this.#words[this.#firstCell(column) + row]!;
    return sum;
  }

  /** Attempts under way at all endpoints. Main thread. */
  inFlightTotal(): number {
    let sum = 0;
    for (let column = 0; column < this.#columnCount; column++) {
      const first = this.#firstCell(column);
      for (let at = first; at < first + this.#usedRowCount; at++) sum += this.#words[at]!;
    }
    return sum;
  }

  /** Main thread: what a worker that is gone had under way ended with it. Before the column is used again. */
  clearColumn(column: number): void {
    const first = this.#firstCell(column);
    const firstPool = first + this.#poolCellsAt;
    this.#clearCells(first, this.#usedRowCount);
    this.#clearCells(firstPool, this.#owned().pools.everUsedCount);
  }

  /** Only cells that are not zero: writing to one makes its page take memory. */
  #clearCells(first: number, count: number): void {
    for (let at = first; at < first + count; at++) if (this.#words[at] !== 0) this.#words[at] = 0;
  }

  get #usedRowCount(): number {
    return this.#owned().endpoints.everUsedCount;
  }

  #firstCell(column: number): number {
    return this.#columnsAt + column * this.#columnWords;
  }

  /** A row whose cursor starts at 0, or null when all are taken. */
  allocatePoolRow(): number | null {
    return this.#owned().pools.take();
  }

  /** Gives the row back. Only when no worker holds a snapshot that names it. */
  freePoolRow(poolRow: number): void {
    this.#owned().pools.giveBack(poolRow);
    Atomics.store(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_CURSOR, 0);
    Atomics.store(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_TRIAL, 0);
    // The generation goes on growing, so that whoever cached the former pool's cannot meet it again.
    Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION, 1);
  }

  /** A row that is in the rotation, or null when all are taken. */
  allocateEndpointRow(): number | null {
    return this.#owned().endpoints.take();
  }

  /** Gives the row back, with nothing known of it. Only when no worker holds an endpoint set that names it. */
  freeEndpointRow(row: number): void {
    this.#owned().endpoints.giveBack(row);
    for (let word = 0; word < ENDPOINT_WORDS; word++) Atomics.store(this.#words, this.#cellOf(row, word), 0);
  }

  #cellOf(row: number, word: number): number {
    return this.#endpointsAt + row * ENDPOINT_WORDS + word;
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

function columnWords(poolRows: number, endpointRows: number): number {
  return Math.ceil((endpointRows + poolRows) / COLUMN_ALIGN_WORDS) * COLUMN_ALIGN_WORDS;
}

function columnsAt(poolRows: number, endpointRows: number): number {
  const end = HEADER_WORDS + poolRows * POOL_WORDS + endpointRows * ENDPOINT_WORDS;
  return Math.ceil(end / COLUMN_ALIGN_WORDS) * COLUMN_ALIGN_WORDS;
}

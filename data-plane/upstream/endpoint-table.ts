import type { EndpointState } from "../balance/endpoint-state.ts";

export interface EndpointTableOptions {
  /** Endpoints that can exist at once on the node. Default 65,536. */
  readonly endpointRowsMax?: number;
  /** Pools that can exist at once on the node. Default 16,384. */
  readonly poolRowsMax?: number;
  /** Threads that can carry traffic at once, those that are leaving included. Default 8. */
  readonly columnsMax?: number;
}

// All cells are 32-bit words. A pool row is a whole cache line, so that the cursors of two busy pools never
// share one. An endpoint row has room for a latency average beside its flags. After the endpoints come the columns,
// one per thread that carries traffic, with a cell per endpoint row: columns do not share a cache line either.
const HEADER_WORDS = 16;
const HEADER_LAYOUT = 0;
const HEADER_POOL_ROWS = 1;
const HEADER_ENDPOINT_ROWS = 2;
const HEADER_COLUMNS = 3;
/** Written at word 0: attaching to a buffer of another layout is a bug that must show at once. */
const LAYOUT_VERSION = 0x70730002;

const POOL_WORDS = 16;
const POOL_CURSOR = 0;
const POOL_GENERATION = 1;

const ENDPOINT_WORDS = 4;
const ENDPOINT_FLAGS = 0;
const EJECTED = 1;

/** Two cache lines: neighbours are fetched in pairs. */
const COLUMN_ALIGN_WORDS = 32;

/**
 * The rows that the threads of a node share: per pool the round-robin cursor and the availability
 * generation, per endpoint whether it is ejected, per endpoint and worker how many attempts are under way. The main
 * thread creates the table, gives out the rows and ends ejections; workers attach to the same buffer, advance cursors,
 * eject, and count in a column of their own.
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
    this.#columnWords = columnWords(endpointRows);
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
    const wordCount = columnsAt(poolRows, endpointRows) + columns * columnWords(endpointRows);
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

  isEjected(row: number): boolean {
    return (Atomics.load(this.#words, this.#flagsOf(row)) & EJECTED) !== 0;
  }

  generation(poolRow: number): number {
    return Atomics.load(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION);
  }

  advanceCursor(poolRow: number): number {
    return Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_CURSOR, 1) >>> 0;
  }

  eject(poolRow: number, row: number): boolean {
    return this.#setEjected(poolRow, row, true);
  }

  /** Main thread: puts the endpoint back into the rotation; false when it was there. */
  readmit(poolRow: number, row: number): boolean {
    return this.#setEjected(poolRow, row, false);
  }

  /** In a worker. Cost: a plain addition, since nobody else writes this worker's column. */
  attemptBegins(row: number): void {
    this.#words[this.#cellsAt + row]!++;
  }

  attemptEnds(row: number): void {
    this.#words[this.#cellsAt + row]!--;
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
    // Only cells that are not zero: writing to one makes its page take memory.
    for (let at = first; at < first + this.#usedRowCount; at++) if (this.#words[at] !== 0) this.#words[at] = 0;
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
    // The generation goes on growing, so that whoever cached the former pool's cannot meet it again.
    Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION, 1);
  }

  /** A row that is in the rotation, or null when all are taken. */
  allocateEndpointRow(): number | null {
    return this.#owned().endpoints.take();
  }

  /** Gives the row back, no longer ejected. Only when no worker holds an endpoint set that names it. */
  freeEndpointRow(row: number): void {
    this.#owned().endpoints.giveBack(row);
    Atomics.store(this.#words, this.#flagsOf(row), 0);
  }

  #setEjected(poolRow: number, row: number, isEjected: boolean): boolean {
    const cell = this.#flagsOf(row);
    let flags = Atomics.load(this.#words, cell);
    for (;;) {
      const wanted = isEjected ? flags | EJECTED : flags & ~EJECTED;
      if (wanted === flags) return false;
      const seen = Atomics.compareExchange(this.#words, cell, flags, wanted);
      if (seen === flags) break;
      flags = seen;
    }
    // After the flag, never before: who reads the new generation must also see the flag, or its wheel stays stale.
    Atomics.add(this.#words, HEADER_WORDS + poolRow * POOL_WORDS + POOL_GENERATION, 1);
    return true;
  }

  #flagsOf(row: number): number {
    return this.#endpointsAt + row * ENDPOINT_WORDS + ENDPOINT_FLAGS;
  }

  #owned() {
    if (this.#rows === null) throw new Error("rows are given out by the thread that created the table");
    return this.#rows;
  }
}

function columnWords(endpointRows: number): number {
  return Math.ceil(endpointRows / COLUMN_ALIGN_WORDS) * COLUMN_ALIGN_WORDS;
}

function columnsAt(poolRows: number, endpointRows: number): number {
  const end = HEADER_WORDS + poolRows * POOL_WORDS + endpointRows * ENDPOINT_WORDS;
  return Math.ceil(end / COLUMN_ALIGN_WORDS) * COLUMN_ALIGN_WORDS;
}

/** Which rows of a section are taken. Freed rows are used again first, to keep the touched pages few. */
class RowAllocator {
  readonly #kind: string;
  readonly #isTaken: Uint8Array;
  readonly #freed: number[] = [];
  #neverUsed = 0;

  constructor(kind: string, rowsMax: number) {
    this.#kind = kind;
    this.#isTaken = new Uint8Array(rowsMax);
  }

  take(): number | null {
    const row = this.#freed.pop() ?? this.#neverUsed;
    if (row >= this.#isTaken.length) return null;
    if (row === this.#neverUsed) this.#neverUsed++;
    this.#isTaken[row] = 1;
    return row;
  }

  /** Rows from this number on were never taken. */
  get everUsedCount(): number {
    return this.#neverUsed;
  }

  giveBack(row: number): void {
    if (this.#isTaken[row] !== 1) throw new Error(`${this.#kind} row ${row} is not taken`);
    this.#isTaken[row] = 0;
    this.#freed.push(row);
  }
}

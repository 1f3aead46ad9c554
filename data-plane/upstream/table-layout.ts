/** How much a table has room for. */
export interface TableSize {
  readonly poolRows: number;
  readonly endpointRows: number;
  readonly columns: number;
}

// All cells are 32-bit words. A pool row is a whole cache line, so that the cursors of two busy pools never
// share one. After the endpoints come the columns, one per thread that carries traffic, with a cell per endpoint row and
// then one per pool row, for each thing that is counted: columns do not share a cache line either.
const HEADER_WORDS = 16;
const HEADER_LAYOUT = 0;
const HEADER_POOL_ROWS = 1;
const HEADER_ENDPOINT_ROWS = 2;
const HEADER_COLUMNS = 3;
/** Written at word 0: attaching to a buffer of another layout is a bug that must show at once. */
const LAYOUT_VERSION = 0x70730006;

/** A cache line. */
const POOL_WORDS = 16;
export const PoolWord = {
  cursor: 0,
  generation: 1,
  /** Row of the endpoint that is to get one request as a trial, plus 1; 0 for none. */
  trial: 2,
  /** The last number that was given out to one that waits. */
  lastTicket: 3,
} as const;

/** A cache line. */
export const ENDPOINT_WORDS = 16;
export const EndpointWord = {
  flags: 0,
  /** Four counters of eight bits, of Kong's health checks. */
  checkCounts: 1,
  /** Bits 0 to 7: resets in a row; 8 to 15: bad answers in a row. */
  outlierCounts: 2,
  /** When it last answered; see `clockMs`. */
  lastAnswer: 3,
  /** Microseconds; see peak-ewma.ts. */
  latency: 4,
  /** When that was written; see `clockMs`. */
  latencyAt: 5,
  /** Thousandths of its weight that it does not have, so that a new row has all. */
  heldBack: 6,
  /** The pool's generation when it last went out. */
  outOrder: 7,
} as const;

/** Two cache lines: neighbours are fetched in pairs. */
const COLUMN_ALIGN_WORDS = 32;

/** Where each cell of an endpoint table lies, in words from its beginning. */
export class TableLayout {
  readonly size: TableSize;
  readonly wordCount: number;
  readonly #endpointsAt: number;
  readonly #columnsAt: number;
  readonly #columnWords: number;

  constructor(size: TableSize) {
    const { poolRows, endpointRows, columns } = size;
    this.size = size;
    this.#endpointsAt = HEADER_WORDS + poolRows * POOL_WORDS;
    this.#columnsAt = aligned(this.#endpointsAt + endpointRows * ENDPOINT_WORDS);
    // The thread's own word is alone on its lines: others write to it.
    this.#columnWords = aligned(endpointRows + 3 * poolRows) + COLUMN_ALIGN_WORDS;
    this.wordCount = this.#columnsAt + columns * this.#columnWords;
  }

  /** Of a table in memory. Throws when the buffer holds something else. */
  static of(words: Int32Array): TableLayout {
    if (words[HEADER_LAYOUT] !== LAYOUT_VERSION) throw new Error("not an endpoint table, or one of another layout");
    return new TableLayout({
      poolRows: words[HEADER_POOL_ROWS]!,
      endpointRows: words[HEADER_ENDPOINT_ROWS]!,
      columns: words[HEADER_COLUMNS]!,
    });
  }

  /** Says of new memory what it is. */
  mark(words: Int32Array): void {
    words[HEADER_POOL_ROWS] = this.size.poolRows;
    words[HEADER_ENDPOINT_ROWS] = this.size.endpointRows;
    words[HEADER_COLUMNS] = this.size.columns;
    words[HEADER_LAYOUT] = LAYOUT_VERSION;
  }

  pool(poolRow: number, word: number): number {
    return HEADER_WORDS + poolRow * POOL_WORDS + word;
  }

  endpoint(row: number, word: number): number {
    return this.#endpointsAt + row * ENDPOINT_WORDS + word;
  }

  /** Where the cells of a thread begin; throws when there is no such column. */
  column(column: number): ColumnLayout {
    const { poolRows, endpointRows, columns } = this.size;
    if (column >= columns) throw new Error(`column ${column} of ${columns}`);
    const inFlight = this.#columnsAt + column * this.#columnWords;
    const waiting = inFlight + endpointRows + poolRows;
    return {
      inFlight,
      poolInFlight: inFlight + endpointRows,
      waiting,
      oldestTicket: waiting + poolRows,
      wakes: inFlight + this.#columnWords - COLUMN_ALIGN_WORDS,
    };
  }

  /** All of them. */
  columns(): ColumnLayout[] {
    return Array.from({ length: this.size.columns }, (_, column) => this.column(column));
  }
}

/** Each is where the cell of row 0 lies, but for `wakes`. */
export interface ColumnLayout {
  /** Attempts of the thread that are under way or, where limits are, admitted: by endpoint row. */
  readonly inFlight: number;
  /** The same by pool row; where limits are, requests, whether an attempt of theirs is under way or not. */
  readonly poolInFlight: number;
  /** Requests of the thread that wait for their turn, by pool row. */
  readonly waiting: number;
  /** The ticket of the one that has waited longest, by pool row; 0 for none. */
  readonly oldestTicket: number;
  /** How often the thread was woken. */
  readonly wakes: number;
}

function aligned(words: number): number {
  return Math.ceil(words / COLUMN_ALIGN_WORDS) * COLUMN_ALIGN_WORDS;
}

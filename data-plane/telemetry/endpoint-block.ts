import { latencyBucketCount } from "../../proto/latency-buckets.ts";

/** Rows of the endpoint table that one block counts for. */
export const blockRows = 64;

/** Where each count of a row lies among its 64-bit cells. */
export const EndpointCell = {
  requests: 0,
  answers: 1,
  clientErrors: 2,
  serverErrors: 3,
  losses: 4,
  ejections: 5,
} as const;
export const countsOfRow = Object.keys(EndpointCell).length;
/** A cache line, so that the counts of two endpoints share none. */
const counterCells = 8;

const rowBytes = counterCells * Float64Array.BYTES_PER_ELEMENT + latencyBucketCount * Uint32Array.BYTES_PER_ELEMENT;
const rowCells = rowBytes / Float64Array.BYTES_PER_ELEMENT;
const rowWords = rowBytes / Uint32Array.BYTES_PER_ELEMENT;
const bucketsAt = (counterCells * Float64Array.BYTES_PER_ELEMENT) / Uint32Array.BYTES_PER_ELEMENT;

/**
 * What one worker counts of 64 endpoints in a row, in memory that it shares with the main thread: the worker alone
 * writes it, the main thread reads it whenever it likes. 384 bytes for each endpoint.
 */
export class EndpointBlock {
  readonly buffer: SharedArrayBuffer;
  /** Exact: 64 bits never overflow, and no machine that Node runs on tears them. */
  readonly counters: Float64Array;
  /** How many answers took how long; modulo 2^32. */
  readonly buckets: Uint32Array;

  constructor(buffer = new SharedArrayBuffer(blockRows * rowBytes)) {
    this.buffer = buffer;
    this.counters = new Float64Array(buffer);
    this.buckets = new Uint32Array(buffer);
  }

  /** Where a row's counts begin among `counters`. @param row of the endpoint table, in this block */
  counterAt(row: number): number {
    return (row % blockRows) * rowCells;
  }

  /** Where a row's buckets begin among `buckets`. */
  bucketAt(row: number): number {
    return (row % blockRows) * rowWords + bucketsAt;
  }

  /** Grows with all that is counted of a row. */
  activity(row: number): number {
    const { counters } = this;
    const at = this.counterAt(row);
    return (
      counters[at + EndpointCell.requests]! +
      counters[at + EndpointCell.answers]! +
      counters[at + EndpointCell.losses]! +
      counters[at + EndpointCell.ejections]!
    );
  }

  /** Main thread: takes over what a block of the same rows has counted, whose worker is gone. */
  add(other: EndpointBlock): void {
    for (let row = 0; row < blockRows; row++) {
      const [counterAt, bucketAt] = [this.counterAt(row), this.bucketAt(row)];
      for (let i = counterAt; i < counterAt + countsOfRow; i++) this.counters[i]! += other.counters[i]!;
      for (let i = bucketAt; i < bucketAt + latencyBucketCount; i++) this.buckets[i]! += other.buckets[i]!;
    }
  }

  /** Main thread: sets a row to 0 that no worker counts for. */
  clear(row: number): void {
    const [counterAt, bucketAt] = [this.counterAt(row), this.bucketAt(row)];
    this.counters.fill(0, counterAt, counterAt + countsOfRow);
    this.buckets.fill(0, bucketAt, bucketAt + latencyBucketCount);
  }
}

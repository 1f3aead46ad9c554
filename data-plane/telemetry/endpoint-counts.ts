import { latencyBucket } from "../../proto/latency-buckets.ts";
import { blockRows, EndpointBlock, EndpointCell } from "./endpoint-block.ts";

/**
 * What a worker counts of each endpoint, by its row in the endpoint table. A block of memory is taken when the first of
 * its endpoints is sent something, and told to the main thread, which needs not ask for what is counted.
 *
 * Cost: some 10 ns per count, since a row is an index and no key; 30 ns where memory is cold (bench/micro.ts).
 */
export class EndpointCounts {
  readonly #blocks: (EndpointBlock | undefined)[] = [];
  readonly #onBlock: (index: number, buffer: SharedArrayBuffer) => void;

  constructor(onBlock: (index: number, buffer: SharedArrayBuffer) => void) {
    this.#onBlock = onBlock;
  }

  /** A request is sent there, be it for the first time or again. */
  requested(row: number): void {
    this.#count(row, EndpointCell.requests);
  }

  /** The head of its answer is there. @param latencyMs since the request was sent */
  answered(row: number, status: number, latencyMs: number): void {
    const block = this.#blockOf(row);
    const at = block.counterAt(row);
    block.counters[at + EndpointCell.answers]!++;
    if (status >= 400) block.counters[at + (status < 500 ? EndpointCell.clientErrors : EndpointCell.serverErrors)]!++;
    block.buckets[block.bucketAt(row) + latencyBucket(latencyMs)]!++;
  }

  /** A request came to no answer, or to a part of one. */
  lost(row: number): void {
    this.#count(row, EndpointCell.losses);
  }

  ejected(row: number): void {
    this.#count(row, EndpointCell.ejections);
  }

  #count(row: number, cell: number): void {
    const block = this.#blockOf(row);
    block.counters[block.counterAt(row) + cell]!++;
  }

  #blockOf(row: number): EndpointBlock {
    const index = Math.trunc(row / blockRows);
    return this.#blocks[index] ?? this.#open(index);
  }

  #open(index: number): EndpointBlock {
    const block = new EndpointBlock();
    // Without holes: an array with some is looked up in slower.
    while (this.#blocks.length < index) this.#blocks.push(undefined);
    this.#blocks[index] = block;
    this.#onBlock(index, block.buffer);
    return block;
  }
}

import { blockRows, countsOfRow, EndpointBlock, EndpointCell } from "./endpoint-block.ts";

/** What was counted of an endpoint since it has its row. */
export interface EndpointTotal {
  readonly requests: number;
  readonly answers: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
  readonly losses: number;
  readonly ejections: number;
}

export const noTotal: EndpointTotal = {
  requests: 0,
  answers: 0,
  clientErrors: 0,
  serverErrors: 0,
  losses: 0,
  ejections: 0,
};

/** Of a worker that is gone. */
const former = -1;

/**
 * What all workers of a node have counted of each endpoint, also those that are gone. Main thread; it reads what the
 * workers write, so that nobody has to be asked and nothing is lost with a worker.
 */
export class EndpointTotals {
  /** The blocks for the same rows: of each worker that counts there, and one for all that are gone. */
  readonly #blocks: (EndpointBlock[] | undefined)[] = [];
  readonly #owners = new Map<EndpointBlock, number>();

  /** A worker counts in this memory from now on. */
  add(workerNumber: number, index: number, buffer: SharedArrayBuffer): void {
    const block = new EndpointBlock(buffer);
    this.#owners.set(block, workerNumber);
    this.#blocks[index] = [...(this.#blocks[index] ?? []), block];
  }

  /** Nothing of the worker runs any more; another one may get its number. */
  keep(workerNumber: number): void {
    for (const [index, blocks] of this.#blocks.entries()) {
      const block = blocks?.find((each) => this.#owners.get(each) === workerNumber);
      if (blocks === undefined || block === undefined) continue;
      const kept = blocks.find((each) => this.#owners.get(each) === former);
      if (kept === undefined) {
        this.#owners.set(block, former);
        continue;
      }
      kept.add(block);
      this.#owners.delete(block);
      this.#blocks[index] = blocks.filter((each) => each !== block);
    }
  }

  /** Grows with everything that is counted of an endpoint, so that it tells whether anything was. */
  activity(row: number): number {
    const blocks = this.#blocksOf(row);
    let sum = 0;
    for (let i = 0; i < blocks.length; i++) sum += blocks[i]!.activity(row);
    return sum;
  }

  read(row: number): EndpointTotal {
    const sums = new Float64Array(countsOfRow);
    for (const block of this.#blocksOf(row)) {
      const at = block.counterAt(row);
      for (let i = 0; i < sums.length; i++) sums[i]! += block.counters[at + i]!;
    }
    return {
      requests: sums[EndpointCell.requests]!,
      answers: sums[EndpointCell.answers]!,
      clientErrors: sums[EndpointCell.clientErrors]!,
      serverErrors: sums[EndpointCell.serverErrors]!,
      losses: sums[EndpointCell.losses]!,
      ejections: sums[EndpointCell.ejections]!,
    };
  }

  /** Writes how many answers took how long, by bucket, modulo 2^32. */
  readBuckets(row: number, into: Uint32Array): void {
    into.fill(0);
    for (const block of this.#blocksOf(row)) {
      const at = block.bucketAt(row);
      for (let i = 0; i < into.length; i++) into[i]! += block.buckets[at + i]!;
    }
  }

  /** The row is free: whoever gets it begins at 0. Only when no worker counts for it any more. */
  clear(row: number): void {
    for (const block of this.#blocksOf(row)) block.clear(row);
  }

  #blocksOf(row: number): readonly EndpointBlock[] {
    return this.#blocks[Math.trunc(row / blockRows)] ?? none;
  }
}

const none: readonly EndpointBlock[] = [];

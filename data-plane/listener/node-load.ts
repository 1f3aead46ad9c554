// All cells are 32-bit words: a header, then a column for each thread that carries traffic, which it alone writes.
const memoryRatioAt = 0;
const isOutOfDescriptorsAt = 1;
const connectionMaxCountAt = 2;
const headerWords = 16;
const connectionsAt = 0;
const upstreamConnectionsAt = 1;
const firstBucketAt = 16;
/** Of each of the two hashes. */
const bucketCount = 4_096;
const columnWords = firstBucketAt + 2 * bucketCount;

/**
 * What the threads of a node have to know of each other to keep limits of the whole node: how many connections of
 * clients there are, how many of one address, and whether memory or file descriptors are short. Addresses are counted by two hashes
 * each, of which the lower count is the better guess: it is never too low, and too high only where another address
 * meets both hashes. So memory does not grow with the number of addresses.
 *
 * Cost: some 100 ns per connection; reading the memory ratio is one load.
 */
export class NodeLoad {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #columnCount: number;
  readonly #column: number;

  private constructor(buffer: SharedArrayBuffer, column: number) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#columnCount = (this.#words.length - headerWords) / columnWords;
    if (column >= this.#columnCount) throw new Error(`column ${column} of ${this.#columnCount}`);
    this.#column = headerWords + column * columnWords;
  }

  static create(columnCount: number): NodeLoad {
    const wordCount = headerWords + columnCount * columnWords;
    return new NodeLoad(new SharedArrayBuffer(wordCount * Int32Array.BYTES_PER_ELEMENT), 0);
  }

  /** @param column the thread's own, which no other one has at the same time */
  static attach(buffer: SharedArrayBuffer, column: number): NodeLoad {
    return new NodeLoad(buffer, column);
  }

  /** A thread is gone, and its connections with it. Before its column is used again. */
  clearColumn(column: number): void {
    const start = headerWords + column * columnWords;
    this.#words.fill(0, start, start + columnWords);
  }

  get connectionCount(): number {
    return this.#sum(connectionsAt);
  }

  /** Connections of the address, or a few more. */
  addressCount(address: string): number {
    const hash = hashOf(address);
    return Math.min(this.#sum(firstBucket(hash)), this.#sum(secondBucket(hash)));
  }

  opened(address: string): void {
    this.#count(address, 1);
  }

  closed(address: string): void {
    this.#count(address, -1);
  }

  /** Share of new requests to be refused for want of memory, 0 to 1. */
  get memoryRatio(): number {
    return this.#words[memoryRatioAt]! / 1_000;
  }

  /** On the main thread. */
  set memoryRatio(ratio: number) {
    this.#words[memoryRatioAt] = Math.round(ratio * 1_000);
  }

  /** Whether the process could open nothing within the last second. */
  get isOutOfDescriptors(): boolean {
    return this.#words[isOutOfDescriptorsAt] === 1;
  }

  /** On the main thread. */
  set isOutOfDescriptors(isOut: boolean) {
    this.#words[isOutOfDescriptorsAt] = isOut ? 1 : 0;
  }

  /** Connections that the descriptors are enough for; no limit until somebody says one. */
  get connectionMaxCount(): number {
    return this.#words[connectionMaxCountAt]! || Number.POSITIVE_INFINITY;
  }

  /** On the main thread. @param count at least 1 */
  set connectionMaxCount(count: number) {
    this.#words[connectionMaxCountAt] = count < 2 ** 31 ? count : 0;
  }

  /** The thread's connections to targets, as it last said. */
  set ownUpstreamConnectionCount(count: number) {
    this.#words[this.#column + upstreamConnectionsAt] = count;
  }

  /**
   * How many connections, of clients and to targets, there are more than the descriptors are enough for, less a tenth
   * for what comes until the next look. Negative where there is room.
   */
  get surplusCount(): number {
    const roomCount = 2 * this.connectionMaxCount * 0.9;
    return Math.ceil(this.connectionCount + this.#sum(upstreamConnectionsAt) - roomCount);
  }

  #count(address: string, change: number): void {
    const hash = hashOf(address);
    this.#words[this.#column + connectionsAt]! += change;
    this.#words[this.#column + firstBucket(hash)]! += change;
    this.#words[this.#column + secondBucket(hash)]! += change;
  }

  #sum(word: number): number {
    let sum = 0;
    for (let i = 0, at = headerWords + word; i < this.#columnCount; i++, at += columnWords) sum += this.#words[at]!;
    return sum;
  }
}

/** FNV-1a with a last mix, so that both ends of it are good as a hash of their own. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const firstBucket = (hash: number) => firstBucketAt + (hash % bucketCount);
const secondBucket = (hash: number) => firstBucketAt + bucketCount + ((hash >>> 20) % bucketCount);

export const readBufferBytes = 131_072;
/** Sockets that may hold a buffer of their own at once; past that they copy out of the shared one. */
const ownMaxCount = 256;
const freeMaxCount = 16;

/** Memory that the kernel reads into. */
export class ReadBuffer {
  readonly bytes: Buffer;
  /** Every socket of the worker reads into it: whatever is to live longer than the callback must be copied out. */
  readonly isShared: boolean;
  /** One of those that `ReadBuffers` gives out and takes back; other memory is not used again. */
  isPooled = false;
  /** A write of its bytes is pending: nothing may be read into it until that is done. */
  isLent = false;

  constructor(bytes: Buffer, isShared: boolean) {
    this.bytes = bytes;
    this.isShared = isShared;
  }
}

/**
 * The read buffers of one worker. Messages of usual size go through one shared buffer, which is emptied
 * before the next read can fill it; a socket in the midst of a large body has one of its own, whose bytes can
 * be written on without a copy.
 */
export class ReadBuffers {
  readonly shared: ReadBuffer = new ReadBuffer(Buffer.allocUnsafeSlow(readBufferBytes), true);
  readonly #free: ReadBuffer[] = [];
  #ownCount = 0;

  /** Buffers that sockets hold, to read into or because their bytes wait to be written. */
  get ownCount(): number {
    return this.#ownCount;
  }

  /** A buffer for one socket, or null when too many are out. */
  take(): ReadBuffer | null {
    if (this.#ownCount >= ownMaxCount) return null;
    this.#ownCount++;
    const buffer = this.#free.pop() ?? new ReadBuffer(Buffer.allocUnsafeSlow(readBufferBytes), false);
    buffer.isPooled = true;
    return buffer;
  }

  giveBack(buffer: ReadBuffer): void {
    this.#ownCount--;
    buffer.isLent = false;
    if (this.#free.length < freeMaxCount) this.#free.push(buffer);
  }
}

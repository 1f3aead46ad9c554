/**
 * Memory that two threads share. Text is gathered in it, line after line, and read where it lies: it is lent to its
 * reader until that gives it back. This memory is all that is ever taken, however slow the reader is.
 *
 * Memory of its own for every batch would become garbage of the reader's thread, whose whole heap V8 then collects for
 * every 16 MB or so.
 */
export class LineRing {
  readonly #memory: Buffer;
  /** What is lent lies in [#lentStart, #start), what is gathered in [#start, #end). */
  #lentStart = 0;
  #start = 0;
  #end = 0;
  /** Where what is lent breaks off, to go on at the memory's beginning; -1: it does not. */
  #turnsAt = -1;
  #lentBytes = 0;

  constructor(byteLength: number) {
    this.#memory = Buffer.from(new SharedArrayBuffer(byteLength));
  }

  get gatheredBytes(): number {
    return this.#end - this.#start;
  }

  /**
   * @param line latin1
   * @returns false when there is no room for it; there may be after `lend`, since what is gathered lies in one piece
   */
  add(line: string): boolean {
    const { length } = line;
    if (this.#end + length > this.#limit && !this.#turnsFor(length)) return false;
    this.#memory.write(line, this.#end, "latin1");
    this.#end += length;
    return true;
  }

  get #limit(): number {
    return this.#turnsAt < 0 ? this.#memory.length : this.#lentStart;
  }

  /** Goes on at the memory's beginning, where there is room for so much. */
  #turnsFor(length: number): boolean {
    if (this.#turnsAt >= 0 || this.gatheredBytes > 0 || length > this.#lentStart) return false;
    this.#turnsAt = this.#end;
    this.#start = 0;
    this.#end = 0;
    return true;
  }

  /** @returns what was gathered; it stays as it is until it is given back. null: nothing was */
  lend(): Uint8Array | null {
    const byteCount = this.gatheredBytes;
    if (byteCount === 0) return null;
    const lines = new Uint8Array(this.#memory.buffer, this.#start, byteCount);
    this.#lentBytes += byteCount;
    this.#start = this.#end;
    return lines;
  }

  /** @param byteCount of what was lent first */
  giveBack(byteCount: number): void {
    this.#lentBytes -= byteCount;
    this.#lentStart += byteCount;
    if (this.#turnsAt >= 0 && this.#lentStart >= this.#turnsAt) {
      this.#lentStart -= this.#turnsAt;
      this.#turnsAt = -1;
    }
    // Usually all of it: the same few pages of memory are enough then.
    if (this.#lentBytes > 0 || this.gatheredBytes > 0) return;
    this.#lentStart = 0;
    this.#start = 0;
    this.#end = 0;
  }
}

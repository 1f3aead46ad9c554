import { LF } from "./byte-class.ts";

const firstCapacityBytes = 2_048;
const nothing = Buffer.alloc(0);

/**
 * Keeps the bytes of a head that arrives in pieces. What is read into belongs to everyone, so the pieces are
 * copied. A piece without a line end cannot complete a head: only pieces with one are worth parsing again,
 * which bounds the work a slow sender can cause to one pass per line.
 */
export class PartialHead {
  /** Valid up to `length`. */
  bytes: Buffer = nothing;
  length = 0;

  /** Adds [start, end) of `from`. @returns whether a parse can have another result than before */
  add(from: Buffer, start: number, end: number): boolean {
    const needed = this.length + end - start;
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2, firstCapacityBytes));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    from.copy(this.bytes, this.length, start, end);
    const isWorthParsing = this.bytes.subarray(this.length, needed).includes(LF);
    this.length = needed;
    return isWorthParsing;
  }

  /** Gives up the bytes too: most connections never need them again. */
  clear(): void {
    this.bytes = nothing;
    this.length = 0;
  }
}

import { randomFillSync } from "node:crypto";

const blockBytes = 1_048_576;
const markBytes = 8;

/** Eight bytes that say which block they begin. */
function mark(block: number): Buffer {
  const bytes = Buffer.alloc(markBytes);
  bytes.writeDoubleBE(block);
  return bytes;
}

/**
 * Endless content in which no place can pass for another one: random bytes that repeat every MiB, each repetition with
 * its number in front. Comparing it costs little, so that gigabytes can be checked byte for byte.
 */
export class MarkedContent {
  readonly #block = randomFillSync(Buffer.alloc(blockBytes));

  /** Up to `length` bytes from a place on, at least one; not to be changed. */
  piece(at: number, length: number): Buffer {
    const inBlock = at % blockBytes;
    if (inBlock >= markBytes) return this.#block.subarray(inBlock, inBlock + length);
    return mark((at - inBlock) / blockBytes).subarray(inBlock, inBlock + length);
  }
}

/** Holds what arrives, in order, against what should. */
export class ContentCheck {
  readonly #content: MarkedContent;
  received = 0;
  wrongBytes = 0;

  constructor(content: MarkedContent) {
    this.#content = content;
  }

  take(arrived: Buffer): void {
    let at = 0;
    while (at < arrived.length) {
      const want = this.#content.piece(this.received, arrived.length - at);
      const got = arrived.subarray(at, at + want.length);
      if (!got.equals(want)) for (let i = 0; i < want.length; i++) this.wrongBytes += got[i] === want[i] ? 0 : 1;
      at += want.length;
      this.received += want.length;
    }
  }
}

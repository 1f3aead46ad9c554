import { Framing } from "./body-framing.ts";
import { ChunkScanner } from "./chunk-scanner.ts";

/** Above this a body is worth a read buffer of its own. */
const largeBodyBytes = 8_192;
const none: readonly string[] = [];

/**
 * Follows the body of one message after another on a connection, whatever its framing, through any cuts between
 * reads, and says which of the bytes that arrive travel on.
 */
export class BodyCursor {
  /** The bytes to forward that the last `read` found; none when the two are equal. */
  forwardStart = 0;
  forwardEnd = 0;
  framing: Framing = Framing.None;
  /** Whether so much is on its way that reading it into memory of its own pays. */
  isLarge = false;
  /** Bytes that are missing of a body with a length. */
  left = 0;
  #scanner: ChunkScanner | null = null;

  /** @param length of a body with one; else 0 */
  start(framing: Framing, length: number): void {
    this.framing = framing;
    this.left = framing === Framing.Length ? length : 0;
    this.isLarge = false;
  }

  /**
   * What a chunked body needs to be told besides; before its first `read`.
   *
   * @param decodes forward the content only, without its framing
   * @param nominated names that must not come as trailers, as the head's Connection said
   */
  startChunks(decodes: boolean, nominated: readonly string[] = none): void {
    this.#scanner ??= new ChunkScanner();
    this.#scanner.start(decodes, nominated);
  }

  /** How much of a chunked body was read, without its framing; 0 for others, which say how long they are. */
  get contentBytes(): number {
    return this.framing === Framing.Chunked ? this.#scanner!.contentBytes : 0;
  }

  /** The whole body was read. One that ends with its connection is never done. */
  get isDone(): boolean {
    switch (this.framing) {
      case Framing.Length:
        return this.left === 0;
      case Framing.Chunked:
        return this.#scanner!.isDone;
      default:
        return this.framing === Framing.None;
    }
  }

  /**
   * Reads on in [from, end), by at least one byte unless the body is done. Call again while it is not.
   *
   * @returns position after what was read, or a Problem, negated
   */
  read(bytes: Uint8Array, from: number, end: number): number {
    this.forwardStart = from;
    switch (this.framing) {
      case Framing.Length: {
        const taken = Math.min(this.left, end - from);
        this.left -= taken;
        this.isLarge = this.left > largeBodyBytes;
        this.forwardEnd = from + taken;
        return from + taken;
      }
      case Framing.Chunked: {
        const scanner = this.#scanner!;
        this.isLarge = end - from > largeBodyBytes;
        const next = scanner.scan(bytes, from, end);
        this.forwardStart = scanner.forwardStart;
        this.forwardEnd = scanner.forwardEnd;
        return next;
      }
      case Framing.UntilClose:
        this.isLarge = end - from > largeBodyBytes;
        this.forwardEnd = end;
        return end;
      default:
        this.forwardEnd = from;
        return from;
    }
  }

  /** Trailer fields that travel on before the bytes that the last `read` found; "" for none. Told once. */
  takeTrailers(): string {
    return this.framing === Framing.Chunked ? this.#scanner!.takeTrailers() : "";
  }
}

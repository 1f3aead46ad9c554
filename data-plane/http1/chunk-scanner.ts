import { byteClass, COLON, CR, FIELD_VALUE, hexValue, LF, SEMICOLON, TOKEN } from "./byte-class.ts";
import { Problem } from "./head-problem.ts";
import { TrailerSection } from "./trailer-section.ts";

/** Where in a chunked body the next byte stands. "Return" and "LineFeed" are the halves of a CRLF. */
const State = {
  Size: 0,
  SizeReturn: 1,
  SizeLineFeed: 2,
  Content: 3,
  ContentReturn: 4,
  ContentLineFeed: 5,
  EndReturn: 6,
  EndLineFeed: 7,
  /** The states up to here are forwarded as they come; those below are checked, and left out or kept for later. */
  Extension: 8,
  TrailerStart: 9,
  TrailerName: 10,
  TrailerValue: 11,
  TrailerLineFeed: 12,
  Done: 13,
} as const;
type State = (typeof State)[keyof typeof State];

/** Thirteen digits of four bits stay below 2^53. */
const sizeMaxDigits = 13;
/** Extensions of one message together: nobody uses them, and a flood of them is an attack (RFC 9112 section 7.1.1). */
const extensionMaxBytes = 1_024;

/**
 * Follows a chunked body through any cuts between reads and says which of its bytes travel on. The coding is
 * forwarded as it came, with two exceptions: chunk extensions are checked and left out, and trailer fields are
 * collected, so that those which must not come there can be left out.
 *
 * Source: RFC 9112 section 7.1.
 */
export class ChunkScanner {
  /** The bytes to forward that the last `scan` found; none when the two are equal. */
  forwardStart = 0;
  forwardEnd = 0;
  /** The body so far, without its framing. */
  contentBytes = 0;
  #state: State = State.Size;
  #decodes = false;
  #chunkLeft = 0;
  #sizeDigits = 0;
  #extensionBytes = 0;
  readonly #trailers = new TrailerSection();
  #keptTrailers = "";

  /**
   * @param decodes forward the content only, without its chunk framing and trailers (for HTTP/1.0 clients)
   * @param nominated lower-case names that may not come as trailers, as the head's Connection said
   */
  start(decodes: boolean, nominated: readonly string[] = []): void {
    this.#state = State.Size;
    this.#decodes = decodes;
    this.contentBytes = 0;
    this.#chunkLeft = 0;
    this.#sizeDigits = 0;
    this.#extensionBytes = 0;
    this.#trailers.start(nominated);
    this.#keptTrailers = "";
  }

  /** Trailer fields to forward before the bytes that the last `scan` found; "" for none. Told once. */
  takeTrailers(): string {
    const kept = this.#keptTrailers;
    if (kept !== "") this.#keptTrailers = "";
    return kept;
  }

  get isDone(): boolean {
    return this.#state === State.Done;
  }

  /**
   * Reads on from `from`, which is below `end`, by at least one byte. Call again from the position returned
   * while it is below `end` and `isDone` is false.
   *
   * @returns position after what was read, or a Problem, negated
   */
  scan(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    // A run of bytes that are left out, then a run of forwarded ones. A byte that only changes the state may
    // leave both empty; then once more, with the same byte in its new state.
    do {
      while (at < end && this.#state !== State.Done && !this.#isForwarded()) {
        at = this.#step(bytes, at, end);
        if (at < 0) return at;
      }
      this.forwardStart = at;
      while (at < end && this.#isForwarded()) {
        at = this.#step(bytes, at, end);
        if (at < 0) return at;
      }
    } while (at === from);
    this.forwardEnd = at;
    return at;
  }

  #isForwarded(): boolean {
    return this.#decodes ? this.#state === State.Content : this.#state <= State.EndLineFeed;
  }

  /** Reads one element. @returns position after it (`at` when only the state changed), or a Problem, negated */
  #step(bytes: Uint8Array, at: number, end: number): number {
    const byte = bytes[at]!;
    switch (this.#state) {
      case State.Size:
        return this.#readSize(byte, at);
      case State.SizeReturn:
        return this.#expect(byte === CR, State.SizeLineFeed, at);
      case State.SizeLineFeed:
        this.#sizeDigits = 0;
        return this.#expect(byte === LF, this.#chunkLeft > 0 ? State.Content : State.TrailerStart, at);
      case State.Content: {
        const taken = Math.min(this.#chunkLeft, end - at);
        this.#chunkLeft -= taken;
        this.contentBytes += taken;
        if (this.#chunkLeft === 0) this.#state = State.ContentReturn;
        return at + taken;
      }
      case State.ContentReturn:
        return this.#expect(byte === CR, State.ContentLineFeed, at);
      case State.ContentLineFeed:
        return this.#expect(byte === LF, State.Size, at);
      case State.Extension:
        if (byte === CR) return this.#look(State.SizeReturn, at);
        if ((byteClass[byte]! & FIELD_VALUE) === 0) return -Problem.ChunkExtension;
        return ++this.#extensionBytes > extensionMaxBytes ? -Problem.ChunkExtension : at + 1;
      default:
        return this.#readTrailer(byte, at);
    }
  }

  #readSize(byte: number, at: number): number {
    const value = hexValue[byte]!;
    if (value !== 255) {
      if (++this.#sizeDigits > sizeMaxDigits) return -Problem.ChunkSize;
      this.#chunkLeft = this.#chunkLeft * 16 + value;
      return at + 1;
    }
    if (this.#sizeDigits === 0) return -Problem.ChunkSize;
    if (byte === CR) return this.#look(State.SizeReturn, at);
    return byte === SEMICOLON ? this.#look(State.Extension, at) : -Problem.ChunkSize;
  }

  #readTrailer(byte: number, at: number): number {
    switch (this.#state) {
      case State.TrailerStart:
        if (byte === CR) return this.#endTrailers(at);
        if ((byteClass[byte]! & TOKEN) === 0) return -Problem.Trailer;
        if (this.#trailers.beginLine()) return -Problem.TrailerTooLarge;
        return this.#keep(byte, State.TrailerName, at);
      case State.TrailerName:
        if (byte === COLON) return this.#keep(byte, State.TrailerValue, at);
        return (byteClass[byte]! & TOKEN) === 0 ? -Problem.Trailer : this.#keep(byte, State.TrailerName, at);
      case State.TrailerValue:
        if (byte === CR) return this.#keep(byte, State.TrailerLineFeed, at);
        return (byteClass[byte]! & FIELD_VALUE) === 0 ? -Problem.Trailer : this.#keep(byte, State.TrailerValue, at);
      case State.TrailerLineFeed:
        return byte === LF ? this.#keep(byte, State.TrailerStart, at) : -Problem.ChunkEnd;
      case State.EndReturn:
        return this.#expect(byte === CR, State.EndLineFeed, at);
      default:
        return this.#expect(byte === LF, State.Done, at);
    }
  }

  #keep(byte: number, next: State, at: number): number {
    if (this.#trailers.add(byte)) return -Problem.TrailerTooLarge;
    this.#state = next;
    return at + 1;
  }

  #endTrailers(at: number): number {
    const kept = this.#trailers.kept();
    if (!this.#decodes) this.#keptTrailers = kept;
    return this.#look(State.EndReturn, at);
  }

  /** Changes the state and leaves the byte to it: that is where it is decided whether the byte travels. */
  #look(next: State, at: number): number {
    this.#state = next;
    return at;
  }

  #expect(isExpected: boolean, next: State, at: number): number {
    if (!isExpected) return -Problem.ChunkEnd;
    this.#state = next;
    return at + 1;
  }
}

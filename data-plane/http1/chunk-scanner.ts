import { byteClass, COLON, CR, FIELD_VALUE, hexValue, LF, SEMICOLON, TOKEN } from "./byte-class.ts";
import { Problem } from "./head-problem.ts";

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
  /** The states up to here are forwarded; those below are checked and left out. */
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
const trailerMaxBytes = 8_192;

/**
 * Follows a chunked body through any cuts between reads and says which of its bytes travel on. The coding is
 * forwarded as it came, with two exceptions: chunk extensions and trailer fields are checked and left out.
 *
 * Source: RFC 9112 section 7.1.
 */
export class ChunkScanner {
  /** The bytes to forward that the last `scan` found; none when the two are equal. */
  forwardStart = 0;
  forwardEnd = 0;
  #state: State = State.Size;
  #decodes = false;
  #chunkLeft = 0;
  #sizeDigits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;

  /** @param decodes forward the content only, without its chunk framing (for HTTP/1.0 clients) */
  start(decodes: boolean): void {
    this.#state = State.Size;
    this.#decodes = decodes;
    this.#chunkLeft = 0;
    this.#sizeDigits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
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
    if (++this.#trailerBytes > trailerMaxBytes) return -Problem.TrailerTooLarge;
    switch (this.#state) {
      case State.TrailerStart:
        if (byte === CR) return this.#look(State.EndReturn, at);
        this.#state = State.TrailerName;
        return (byteClass[byte]! & TOKEN) !== 0 ? at + 1 : -Problem.Trailer;
      case State.TrailerName:
        if (byte === COLON) this.#state = State.TrailerValue;
        else if ((byteClass[byte]! & TOKEN) === 0) return -Problem.Trailer;
        return at + 1;
      case State.TrailerValue:
        if (byte === CR) this.#state = State.TrailerLineFeed;
        else if ((byteClass[byte]! & FIELD_VALUE) === 0) return -Problem.Trailer;
        return at + 1;
      case State.TrailerLineFeed:
        return this.#expect(byte === LF, State.TrailerStart, at);
      case State.EndReturn:
        return this.#expect(byte === CR, State.EndLineFeed, at);
      default:
        return this.#expect(byte === LF, State.Done, at);
    }
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

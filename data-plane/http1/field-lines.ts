import { equalsIgnoringCase } from "./body-framing.ts";
import { byteClass, COLON, CR, FIELD_VALUE, HTAB, LF, SP, TOKEN } from "./byte-class.ts";
import { type Field, fieldKind } from "./field-kind.ts";
import { Problem } from "./head-problem.ts";
import { viewOf } from "./memory-view.ts";
import { SectionMemory } from "./section-memory.ts";

export interface HeadLimits {
  /** Start line and fields together. A longer request head is answered with 431. */
  readonly headMaxBytes: number;
  /** A longer request target is answered with 414. */
  readonly targetMaxBytes: number;
  readonly fieldMaxCount: number;
}

export const defaultRequestLimits: HeadLimits = { headMaxBytes: 32_768, targetMaxBytes: 8_192, fieldMaxCount: 100 };
/** Answers come from servers that the operator chose: more room, but still bounded. */
export const defaultResponseLimits: HeadLimits = { headMaxBytes: 65_536, targetMaxBytes: 0, fieldMaxCount: 200 };

/**
 * Where the fields of one head lie in its bytes. Preallocated and used again for every head: positions in
 * integer arrays instead of an object per field are most of what makes parsing cheap.
 */
export class FieldLines {
  count = 0;
  readonly nameStart: Int32Array;
  readonly nameEnd: Int32Array;
  readonly valueStart: Int32Array;
  /** Without trailing white space. */
  readonly valueEnd: Int32Array;
  /** After the line's CRLF. */
  readonly lineEnd: Int32Array;
  readonly kind: Uint8Array;
  readonly maxCount: number;
  /** Names that Connection nominated, in lower case: they must not come as trailers either. */
  readonly nominated: string[] = [];
  readonly #memory = new SectionMemory();
  /** Where the section lay that the positions are of. */
  #sectionStart = 0;
  /** The head as text, once `takeText` was called for it; "" before. */
  #text = "";
  #textStart = 0;

  constructor(maxCount: number) {
    this.maxCount = maxCount;
    this.nameStart = new Int32Array(maxCount);
    this.nameEnd = new Int32Array(maxCount);
    this.valueStart = new Int32Array(maxCount);
    this.valueEnd = new Int32Array(maxCount);
    this.lineEnd = new Int32Array(maxCount);
    this.kind = new Uint8Array(maxCount);
  }

  /**
   * Makes text of the head's bytes [start, end), all of which `textAt` then cuts: one string of a Buffer costs 150 ns
   * and each cut of it a tenth of that (bench W1).
   */
  takeText(bytes: Buffer, start: number, end: number): void {
    this.#text = bytes.toString("latin1", start, end);
    this.#textStart = start;
  }

  /** [from, to) of what `takeText` took, by the positions of the bytes. */
  textAt(from: number, to: number): string {
    return this.#text.substring(from - this.#textStart, to - this.#textStart);
  }

  /** The section at [start, end) was read, and whatever follows from its fields holds for the very same bytes again. */
  remember(bytes: Uint8Array, start: number, end: number): void {
    this.#sectionStart = start;
    this.#memory.keep(bytes, start, end);
  }

  /** Nothing follows from what was read last. */
  forget(): void {
    this.#memory.byteLength = 0;
    this.#text = "";
  }

  /**
   * Whether the section that is remembered stands at `start` again: then the fields are those of it, where they lie now.
   * Clients and servers mostly say the same fields again and again, and comparing them takes a tenth of the time (bench
   * W1: 3 %).
   *
   * @returns position after the section; 0 when another stands there, or it is not whole
   */
  readAgain(bytes: Uint8Array, start: number, end: number): number {
    const memory = this.#memory;
    if (!memory.isAt(bytes, start, end)) return 0;
    const moved = start - this.#sectionStart;
    if (moved !== 0) this.#move(moved);
    this.#sectionStart = start;
    // Whoever does not take the text of this head must not get that of the one before.
    this.#text = "";
    return start + memory.byteLength;
  }

  #move(by: number): void {
    const { nameStart, nameEnd, valueStart, valueEnd, lineEnd } = this;
    for (let index = 0; index < this.count; index++) {
      nameStart[index]! += by;
      nameEnd[index]! += by;
      valueStart[index]! += by;
      valueEnd[index]! += by;
      lineEnd[index]! += by;
    }
  }

  kindAt(index: number): Field {
    return this.kind[index] as Field;
  }

  nominate(bytes: Uint8Array, start: number, end: number): void {
    this.nominated.push(String.fromCharCode(...bytes.subarray(start, end)).toLowerCase());
  }

  valueAt(index: number, bytes: Buffer): string {
    return bytes.toString("latin1", this.valueStart[index]!, this.valueEnd[index]!);
  }

  /** Whether the field has that name, given in lower case. */
  isNamed(index: number, bytes: Uint8Array, name: string): boolean {
    return equalsIgnoringCase(bytes, this.nameStart[index]!, this.nameEnd[index]!, name);
  }

  /** The first field of that name (given in lower case), or -1. For names that have no kind: it looks at each. */
  indexOf(name: string, bytes: Uint8Array): number {
    for (let index = 0; index < this.count; index++) if (this.isNamed(index, bytes, name)) return index;
    return -1;
  }
}

/**
 * Reads the field lines from `at` to the empty line, in one pass.
 *
 * Source: RFC 9112 section 5. Stricter than it allows: no obs-fold, no bare LF or CR anywhere.
 * @returns position after the empty line's CRLF; 0 when `end` comes first; a Problem, negated
 */
export function scanFieldLines(lines: FieldLines, bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  let count = 0;
  if (lines.nominated.length > 0) lines.nominated.length = 0;
  lines.forget();
  for (;;) {
    if (at >= end) return 0;
    if (bytes[at] === CR) {
      if (at + 1 >= end) return 0;
      if (bytes[at + 1] !== LF) return -Problem.LineEnd;
      lines.count = count;
      return at + 2;
    }
    if (count === lines.maxCount) return -Problem.TooManyFields;
    const nameStart = at;
    while (at < end && (byteClass[bytes[at]!]! & TOKEN) !== 0) at++;
    if (at === end) return 0;
    if (bytes[at] !== COLON || at === nameStart) return nameProblem(bytes[at]!, at === nameStart);
    lines.nameStart[count] = nameStart;
    lines.nameEnd[count] = at;
    lines.kind[count] = fieldKind(bytes, nameStart, at);
    at++;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    lines.valueStart[count] = at;
    at = plainEnd(bytes, at, end);
    while (at < end && (byteClass[bytes[at]!]! & FIELD_VALUE) !== 0) at++;
    if (at + 1 >= end) return at < end && bytes[at] !== CR ? valueProblem(bytes[at]!) : 0;
    if (bytes[at] !== CR) return valueProblem(bytes[at]!);
    if (bytes[at + 1] !== LF) return -Problem.LineEnd;
    lines.valueEnd[count] = trimmedEnd(bytes, lines.valueStart[count]!, at);
    at += 2;
    lines.lineEnd[count] = at;
    count++;
  }
}

const HIGH_BITS = 0x80808080 | 0;

/**
 * A place up to which there are bytes of 0x20 to 0x7e alone, and from which the value is to be read byte by byte. Four
 * bytes at once take a third of the time (bench W1: 1 %; more with long values).
 */
function plainEnd(bytes: Uint8Array, from: number, end: number): number {
  const view = viewOf(bytes);
  if (view === null) return from;
  let at = from;
  for (const last = end - 4; at <= last; at += 4) {
    const word = view.getInt32(at, true);
    // Below 0x20 a byte borrows, 0x7f carries, and from 0x80 on it has its high bit: a borrow or carry that goes on to the
    // next byte comes from one that is found out itself.
    if (((word | (word - 0x20202020) | (word + 0x01010101)) & HIGH_BITS) !== 0) return at;
  }
  return at;
}

function trimmedEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && (bytes[at - 1] === SP || bytes[at - 1] === HTAB)) at--;
  return at;
}

/** White space at a line's start is obs-fold, or a first line that pretends to be one (RFC 9112 sections 2.2, 5.2). */
function nameProblem(byte: number, isLineStart: boolean): number {
  if (isLineStart && (byte === SP || byte === HTAB)) return -Problem.FoldedLine;
  return byte === LF ? -Problem.LineEnd : -Problem.FieldName;
}

function valueProblem(byte: number): number {
  return byte === LF ? -Problem.LineEnd : -Problem.FieldValue;
}

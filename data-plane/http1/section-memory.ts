import { viewOf } from "./memory-view.ts";

/** Longer sections are read anew: to keep them for comparing would cost too much where they differ each time. */
const sectionMaxBytes = 1_024;
/** The bytes of one section of fields, to be known again. Four at a time, wherever they lie. */
export class SectionMemory {
  /** 0: nothing is kept. */
  byteLength = 0;
  readonly #bytes = new Uint8Array(sectionMaxBytes);
  readonly #view = new DataView(this.#bytes.buffer);

  /** Keeps [start, end), or nothing where that does not pay. */
  keep(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const from = viewOf(bytes);
    this.byteLength = 0;
    if (length > sectionMaxBytes || from === null) return;
    const to = this.#view;
    let at = 0;
    for (const last = length - 4; at <= last; at += 4) to.setInt32(at, from.getInt32(start + at, true), true);
    for (; at < length; at++) this.#bytes[at] = bytes[start + at]!;
    this.byteLength = length;
  }

  /** Whether what is kept stands at `start`, whole before `end`. */
  isAt(bytes: Uint8Array, start: number, end: number): boolean {
    const length = this.byteLength;
    if (length === 0 || start + length > end) return false;
    const there = viewOf(bytes);
    if (there === null) return false;
    const kept = this.#view;
    let at = 0;
    for (const last = length - 4; at <= last; at += 4) {
      if (there.getInt32(start + at, true) !== kept.getInt32(at, true)) return false;
    }
    for (; at < length; at++) if (bytes[start + at] !== this.#bytes[at]) return false;
    return true;
  }
}

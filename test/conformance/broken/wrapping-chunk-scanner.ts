import type { ChunkScanner } from "../../../data-plane/http1/chunk-scanner.ts";
import { Problem } from "../../../data-plane/http1/head-problem.ts";

/** Broken on purpose: keeps 32 bits of a chunk size of any length, and forwards its digits as they came. */
export class WrappingChunkScanner
  implements Pick<ChunkScanner, "forwardStart" | "forwardEnd" | "contentBytes" | "start" | "takeTrailers" | "scan">
{
  forwardStart = 0;
  forwardEnd = 0;
  contentBytes = 0;
  isDone = false;
  #line = "";
  #left = 0;
  #isInTrailers = false;

  start(): void {
    this.isDone = false;
    this.#line = "";
    this.#left = 0;
    this.#isInTrailers = false;
  }

  takeTrailers(): string {
    return "";
  }

  scan(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    this.forwardStart = from;
    while (at < end && !this.isDone) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      this.#line += String.fromCharCode(bytes[at++]!);
      if (this.#line.endsWith("\r\n") && !this.#takeLine(this.#line.slice(0, -2))) return -Problem.ChunkSize;
    }
    this.forwardEnd = at;
    return at;
  }

  #takeLine(line: string): boolean {
    this.#line = "";
    if (this.#isInTrailers) this.isDone = line === "";
    else if (!/^[0-9A-Fa-f]+$/.test(line)) return false;
    else {
      const size = [...line].reduce((sum, digit) => (sum * 16 + Number.parseInt(digit, 16)) >>> 0, 0);
      this.#isInTrailers = size === 0;
      // The line end after the content counts as content here.
      this.#left = size === 0 ? 0 : size + 2;
    }
    return true;
  }
}

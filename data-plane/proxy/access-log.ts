import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import { type AccessFacts, accessLine } from "./access-line.ts";
import { AccessLineParts } from "./access-line-parts.ts";
import { LineRing } from "./line-ring.ts";

export interface AccessLogOptions {
  /** Share of the requests that went well to be logged, 0 to 1; what went wrong is always logged. */
  readonly sampleRatio: number;
  /** Takes whole lines, in shared memory; `taken` must be told when they are written, or dropped: in order. */
  readonly send: (lines: Uint8Array, lineCount: number) => void;
  /** Lines that were not taken because too many wait to be written. */
  readonly onDropped: (lineCount: number) => void;
  readonly nowUnixMs: () => number;
}

/**
 * So much is sent at once, and what there is with each `flush`. A message to the main thread and a write to a file cost
 * some 200 us together.
 */
const batchBytes = 524_288;
/** So much is written into the shared memory at once: a call for each line would cost 0.3 us more. */
const textChars = 4_096;
/** The time of day is asked for so often, and counted on meanwhile: asking costs 0.2 us (bench W1log). */
const clockMaxAgeMs = 1_000;
/** Lines that are gathered, or under way to a disk or reader that does not keep up; over it, new ones are dropped. */
const waitingMaxBytes = 2_097_152;

/**
 * A worker's access log. Lines are gathered and handed to the one writer of the node, so that lines of several
 * workers are never mixed and a reader that stands still costs a bounded amount of memory and no thread's time.
 *
 * Cost: 3.4 us of all threads together per request where a request without it costs 24.2 (`npm run bench`, W1log).
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  readonly #parts = new AccessLineParts();
  /** The newest lines. Text that is kept for long is copied about by V8. */
  #text = "";
  #textLines = 0;
  readonly #ring = new LineRing(waitingMaxBytes);
  /** Gathered in the ring. */
  #lineCount = 0;
  /** Grows by the share with each request: at 1 a line is due. */
  #credit = 0;
  #clockReadAtMs = Number.POSITIVE_INFINITY;
  #unixMsAtZero = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  /** Whether the line of a request that ended so is wanted. Once per request: it is counted. */
  wants(failure: string): boolean {
    if (failure !== "") return true;
    this.#credit += this.#options.sampleRatio;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }

  /**
   * @param snapshot what is served now; the request may have begun under another
   * @param nowMs by the monotonic clock
   */
  add(facts: AccessFacts, snapshot: ServedSnapshot | null, nowMs: number): void {
    this.#parts.follow(snapshot);
    this.#text += accessLine(this.#unixMs(nowMs), facts, this.#parts);
    this.#textLines++;
    if (this.#text.length < textChars) return;
    this.#store();
    if (this.#ring.gatheredBytes >= batchBytes) this.#send();
  }

  /** Hands over what has gathered. */
  flush(): void {
    if (this.#textLines > 0) this.#store();
    this.#send();
  }

  /** Moves the newest lines into the ring, or drops them. */
  #store(): void {
    const text = this.#text;
    const count = this.#textLines;
    this.#text = "";
    this.#textLines = 0;
    if (!this.#ring.add(text)) {
      this.#send();
      if (!this.#ring.add(text)) {
        this.#options.onDropped(count);
        return;
      }
    }
    this.#lineCount += count;
  }

  #send(): void {
    const lines = this.#ring.lend();
    if (lines === null) return;
    const count = this.#lineCount;
    this.#lineCount = 0;
    this.#options.send(lines, count);
  }

  /** So many bytes of those that were sent first wait no longer. */
  taken(byteCount: number): void {
    this.#ring.giveBack(byteCount);
  }

  /** The time of day at a moment of the monotonic clock. */
  #unixMs(atMs: number): number {
    if (atMs >= this.#clockReadAtMs + clockMaxAgeMs || atMs < this.#clockReadAtMs) {
      this.#clockReadAtMs = atMs;
      this.#unixMsAtZero = this.#options.nowUnixMs() - atMs;
    }
    return Math.round(this.#unixMsAtZero + atMs);
  }
}

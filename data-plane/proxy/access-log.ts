import { type AccessFacts, accessLine } from "./access-line.ts";

export interface AccessLogOptions {
  /** Share of the requests that went well to be logged, 0 to 1; what went wrong is always logged. */
  readonly sampleRatio: number;
  /** Takes whole lines away; `taken` must be told when they are written, or dropped. */
  readonly send: (lines: Uint8Array<ArrayBuffer>, lineCount: number) => void;
  /** A line that was not taken because too many wait to be written. */
  readonly onDropped: () => void;
  readonly nowUnixMs: () => number;
}

/** So much is sent at once. Less waits for the next `flush`. */
const batchChars = 32_768;
/** Lines that are under way to a disk or reader that does not keep up; over it, new ones are dropped. */
const waitingMaxBytes = 1_048_576;

/**
 * A worker's access log. Lines are gathered and handed to the one writer of the node, so that lines of several
 * workers are never mixed and a reader that stands still costs a bounded amount of memory and no thread's time.
 *
 * Cost: about 2 us per request.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #text = "";
  #lineCount = 0;
  #waitingBytes = 0;
  /** Grows by the share with each request: at 1 a line is due. */
  #credit = 0;
  #secondAtMs = -1;
  #secondText = "";

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

  add(facts: AccessFacts): void {
    if (this.#waitingBytes + this.#text.length > waitingMaxBytes) {
      this.#options.onDropped();
      return;
    }
    this.#text += accessLine(this.#time(), facts);
    this.#lineCount++;
    if (this.#text.length >= batchChars) this.flush();
  }

  /** Hands over what has gathered. */
  flush(): void {
    if (this.#text === "") return;
    // Memory of its own, not a piece of Buffer's pool: it goes to another thread without a copy.
    const lines = new Uint8Array(this.#text.length);
    Buffer.from(lines.buffer).write(this.#text, "latin1");
    const count = this.#lineCount;
    this.#text = "";
    this.#lineCount = 0;
    this.#waitingBytes += lines.length;
    this.#options.send(lines, count);
  }

  /** So many bytes that were sent wait no longer. */
  taken(byteCount: number): void {
    this.#waitingBytes = Math.max(this.#waitingBytes - byteCount, 0);
  }

  /** ISO 8601 with milliseconds; all but those is made once a second. */
  #time(): string {
    const nowMs = this.#options.nowUnixMs();
    const ms = nowMs % 1_000;
    if (nowMs - ms !== this.#secondAtMs) {
      this.#secondAtMs = nowMs - ms;
      this.#secondText = new Date(nowMs).toISOString().slice(0, 20);
    }
    return `${this.#secondText}${ms < 10 ? "00" : ms < 100 ? "0" : ""}${ms}Z`;
  }
}

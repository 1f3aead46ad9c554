const headEnd = Buffer.from("\r\n\r\n");
const statusAt = "HTTP/1.1 ".length;

/**
 * Finds answers of a known body length in what arrives on one connection, in whatever pieces. Reading must cost the
 * load next to nothing: only the status is looked at.
 */
export class AnswerReader {
  readonly #bodyBytes: number;
  /** Half a head. */
  #held: Buffer | null = null;
  #bodyLeft = 0;
  /** Answers that began with another status than 200. */
  failed = 0;

  constructor(bodyBytes: number) {
    this.#bodyBytes = bodyBytes;
  }

  /** @returns how many answers ended in these bytes */
  read(arrived: Buffer): number {
    const bytes = this.#held === null ? arrived : Buffer.concat([this.#held, arrived]);
    this.#held = null;
    let ended = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#bodyLeft === 0) {
        const end = bytes.indexOf(headEnd, at);
        if (end === -1) {
          this.#held = Buffer.from(bytes.subarray(at));
          return ended;
        }
        if (bytes.toString("latin1", at + statusAt, at + statusAt + 3) !== "200") this.failed++;
        at = end + headEnd.length;
        this.#bodyLeft = this.#bodyBytes;
      }
      const taken = Math.min(this.#bodyLeft, bytes.length - at);
      this.#bodyLeft -= taken;
      at += taken;
      if (this.#bodyLeft === 0) ended++;
    }
    return ended;
  }

  /** Bytes of an answer are here that is not whole yet. */
  get isMidway(): boolean {
    return this.#bodyLeft > 0 || this.#held !== null;
  }
}

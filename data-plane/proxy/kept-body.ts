/**
 * What was sent of a request's body, in its framing, for as long as it can be sent again: all of it or nothing. Held as
 * latin1 text, as heads are, so that an attempt writes both at once.
 */
export class KeptBody {
  /** "" while nothing was sent, and once it is too much. */
  text = "";
  #maxBytes = 0;
  #isWhole = true;

  /** A new request. @param maxBytes 0 keeps nothing */
  start(maxBytes: number): void {
    this.text = "";
    this.#maxBytes = maxBytes;
    this.#isWhole = true;
  }

  /** Whether what was sent, if anything was, can be sent again. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether a piece of so many bytes is wanted; where it is not, nothing is kept any more. */
  takes(byteCount: number): boolean {
    if (this.#isWhole && this.text.length + byteCount <= this.#maxBytes) return true;
    this.drop();
    return false;
  }

  /** Nothing is kept any more: what was sent cannot be sent again. */
  drop(): void {
    this.#isWhole = false;
    this.text = "";
  }

  add(piece: string): void {
    this.text = this.text === "" ? piece : this.text + piece;
  }

  /** An idle connection must not keep what its last request needed. */
  release(): void {
    this.text = "";
  }
}

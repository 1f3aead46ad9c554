/** A client whose request was refused, and which is not read for a moment. */
export interface HeldClient {
  /** @returns whether it was held still: it may be gone, or closed */
  endHold(): boolean;
}

/** Below that many entries that are done with, moving the others is not worth it. */
const doneMinCount = 1_024;

/**
 * The clients that are held, in the order in which they came. Whoever asks again at once costs nothing meanwhile. They
 * are let go when their time is over, or before it when there is room for what they may ask: a loop that rests while
 * clients are held would be work lost. Without that, all that were refused together would also come back together.
 *
 * Pure: time comes in. Cost: two numbers per refusal.
 */
export class HeldClients {
  readonly #holdMs: number;
  readonly #onDefect: (error: unknown) => void;
  readonly #clients: HeldClient[] = [];
  readonly #untilMs: number[] = [];
  #doneCount = 0;

  /**
   * @param holdMs how long a client is held at most
   * @param onDefect told when a client throws: the others are let go all the same
   */
  constructor(holdMs: number, onDefect: (error: unknown) => void) {
    this.#holdMs = holdMs;
    this.#onDefect = onDefect;
  }

  /** How many are held, with those that are gone since. */
  get count(): number {
    return this.#clients.length - this.#doneCount;
  }

  add(client: HeldClient, nowMs: number): void {
    this.#clients.push(client);
    this.#untilMs.push(nowMs + this.#holdMs);
  }

  /**
   * Lets those go whose time is over, and others, up to `roomCount` in all.
   * @returns how many were let go
   */
  letGo(nowMs: number, roomCount: number): number {
    // Who is refused again within the call comes to stand behind.
    const end = this.#clients.length;
    let count = 0;
    let at = this.#doneCount;
    for (; at < end && (count < roomCount || this.#untilMs[at]! <= nowMs); at++) {
      try {
        if (this.#clients[at]!.endHold()) count++;
      } catch (error) {
        this.#onDefect(error);
      }
    }
    this.#doneCount = at;
    if (at === this.#clients.length || at >= doneMinCount) this.#forgetDone();
    return count;
  }

  #forgetDone(): void {
    // What splice takes out it would return: in overload thousands at each turn, for nobody.
    const leftCount = this.#clients.length - this.#doneCount;
    this.#clients.copyWithin(0, this.#doneCount).length = leftCount;
    this.#untilMs.copyWithin(0, this.#doneCount).length = leftCount;
    this.#doneCount = 0;
  }
}

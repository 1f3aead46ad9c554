import { restAfterShortage } from "./accept-shortage.ts";

/**
 * Slows a thread's event loop down while there are no descriptors. A connection that cannot be accepted stays in the
 * queue, and the loop comes back to it at once, for ever: 20,000 turns a second, which do nothing with all of a core.
 * There is no way to stop listening for a while: closing resets what waits in the queue, and handing the server to
 * another thread takes a descriptor. So every turn of the loop rests, 200 a second are left, and each does all that
 * there is to do by then: clients that are served wait some milliseconds longer.
 */
export class LoopRest {
  readonly #restOnce: () => void;
  #next: NodeJS.Immediate | null = null;

  /** @param restOnce takes some milliseconds; default: sleeps */
  constructor(restOnce: () => void = restAfterShortage) {
    this.#restOnce = restOnce;
  }

  /** @param isResting whether every turn of the loop rests from now on */
  set(isResting: boolean): void {
    if (isResting) this.#next ??= setImmediate(this.#rest);
    else if (this.#next !== null) {
      clearImmediate(this.#next);
      this.#next = null;
    }
  }

  readonly #rest = (): void => {
    this.#restOnce();
    this.#next = setImmediate(this.#rest);
  };
}

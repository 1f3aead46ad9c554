/** Things that are looked at from time to time, with a timer only while there are any. */
export class LookedAt<T> {
  readonly #everyMs: number;
  readonly #look: (one: T) => void;
  readonly #things = new Set<T>();
  #timer: NodeJS.Timeout | undefined;

  /** @param look must not throw */
  constructor(everyMs: number, look: (one: T) => void) {
    this.#everyMs = everyMs;
    this.#look = look;
  }

  add(one: T): void {
    this.#things.add(one);
    this.#timer ??= setInterval(() => {
      for (const thing of this.#things) this.#look(thing);
    }, this.#everyMs).unref();
  }

  delete(one: T): void {
    this.#things.delete(one);
    if (this.#things.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

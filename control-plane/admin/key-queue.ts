/**
 * Runs the tasks of one key one after the other, in the order in which they came, and those of different keys side by
 * side. So writes to one resource never meet within this process, and none runs out of tries.
 */
export class KeyQueue {
  /** The end of the last task of each key that has any. */
  readonly #tails = new Map<string, Promise<void>>();
  readonly #taskMaxCount: number;
  #taskCount = 0;

  /** @param taskMaxCount tasks of all keys that may wait or run; beyond it `run` gives null */
  constructor(taskMaxCount: number) {
    this.#taskMaxCount = taskMaxCount;
  }

  /** The task's result; null, without running it, when too many wait already. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T | null> {
    if (this.#taskCount >= this.#taskMaxCount) return null;
    this.#taskCount++;
    const before = this.#tails.get(key);
    const { promise: tail, resolve: end } = Promise.withResolvers<void>();
    this.#tails.set(key, tail);
    try {
      if (before !== undefined) await before;
      return await task();
    } finally {
      // A task that throws tells its own caller; the next one runs all the same.
      end();
      this.#taskCount--;
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}

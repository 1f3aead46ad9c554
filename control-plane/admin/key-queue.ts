/**
 * Runs the tasks of one key one after the other, in the order in which they came, and those of different keys side by
 * side. So writes to one resource never meet within this process, and none runs out of tries.
 */
export class KeyQueue {
  /** The last task of each key that has any. */
  readonly #tails = new Map<string, Promise<unknown>>();
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
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(task);
    // A task that throws tells its own caller; the next one runs all the same.
    const tail = result.catch(() => undefined);
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      this.#taskCount--;
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}

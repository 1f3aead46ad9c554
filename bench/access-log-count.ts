import { readFileSync, truncateSync } from "node:fs";

/** Lines are written some time after their requests. */
const settleMs = 1_500;

/** Counts the lines that come into an access log: one that drops lines would look cheaper than it is. */
export class AccessLogCount {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Empties the file, which its writer appends to. */
  static async start(path: string): Promise<AccessLogCount> {
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    truncateSync(path);
    return new AccessLogCount(path);
  }

  /** @param wanted how many to wait for, for a while */
  async lines(wanted: number): Promise<number> {
    const deadlineMs = performance.now() + settleMs;
    for (;;) {
      const found = this.#count();
      if (found >= wanted || performance.now() > deadlineMs) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #count(): number {
    const bytes = readFileSync(this.#path);
    let count = 0;
    for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) count++;
    return count;
  }
}

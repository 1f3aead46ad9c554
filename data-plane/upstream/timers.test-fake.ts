import { setImmediate as nextTurn } from "node:timers/promises";
import type { Timers } from "./timers.ts";

/** Timers that a test turns by hand. */
export class FakeTimers implements Timers {
  #nowMs = 0;
  readonly #waiting = new Set<{ readonly atMs: number; readonly run: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#waiting.add(timer);
    return () => this.#waiting.delete(timer);
  }

  /** How many calls are yet to come. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Lets the time pass, and all that was promised meanwhile happen. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await nextTurn();
      const next = [...this.#waiting].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#waiting.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
    await nextTurn();
  }

  /** Time goes by while nothing could run, as for a stopped process: what was due meanwhile runs once, late. */
  async jump(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.pass(0);
  }
}

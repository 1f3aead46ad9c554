import { admin } from "./admin-client.ts";

export interface WriteOrder {
  readonly method: string;
  readonly path: string;
  readonly body?: Record<string, unknown>;
}

/** Writes to the Admin API at a steady rate, one after the other, while they are asked for. */
export class EndlessWrites {
  readonly #adminUrl: string;
  readonly #perMinute: number;
  readonly #next: (number: number) => WriteOrder;
  #goesOn = false;
  #running: Promise<void> = Promise.resolve();
  written = 0;
  failed = 0;

  /** @param next the write with this number, from 0 on */
  constructor(adminUrl: string, perMinute: number, next: (number: number) => WriteOrder) {
    this.#adminUrl = adminUrl;
    this.#perMinute = perMinute;
    this.#next = next;
  }

  go(): void {
    this.#goesOn = true;
    this.#running = this.#run();
    // Whoever lets it rest is told.
    this.#running.catch(() => {});
  }

  async rest(): Promise<void> {
    this.#goesOn = false;
    await this.#running;
  }

  async #run(): Promise<void> {
    const everyMs = 60_000 / this.#perMinute;
    // What is late is made up for: the rate holds over the time of a run.
    for (let dueAtMs = performance.now(); this.#goesOn; dueAtMs += everyMs) {
      const restMs = dueAtMs - performance.now();
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
      const { method, path, body } = this.#next(this.written + this.failed);
      const { status } = await admin(this.#adminUrl, method, path, body);
      if (status < 300) this.written++;
      else this.failed++;
    }
  }
}

import type { ConfigUpdate } from "./config/encoded-config.ts";
import type { ApplyTimes } from "./worker-message.ts";
import type { WorkerThread } from "./worker-thread.ts";

export type DeliveryOutcome =
  /** What it took the worker that took longest. */
  { readonly ok: true; readonly times: ApplyTimes } | { readonly ok: false; readonly message: string };

/**
 * One config on its way to the workers. A change goes to all at once, since taking it up is a matter of microseconds;
 * all of a config to one worker after the other, so that never more than one of them has less time for requests.
 */
export class WorkerDelivery {
  readonly #update: ConfigUpdate;
  /** Workers that have yet to be sent all of the config, and the one that was sent it last. */
  readonly #waiting: Set<WorkerThread>;
  #current: WorkerThread | null = null;
  readonly #times = { durationMs: 0, sliceMaxMs: 0 };
  readonly #over = Promise.withResolvers<DeliveryOutcome>();
  /** Workers that were lost since it began. */
  lossCount = 0;

  /** @param threads all that are there; what begins later gets the config with its start */
  constructor(update: ConfigUpdate, threads: readonly WorkerThread[]) {
    this.#update = update;
    this.#waiting = new Set(update.change === null ? threads : []);
    if (update.change === null) this.goOn();
    else for (const thread of threads) thread.post({ type: "config", config: update.change });
  }

  /** Resolves when it has ended. */
  get isOver(): Promise<DeliveryOutcome> {
    return this.#over.promise;
  }

  /** To be called when a worker has answered, or was lost: the next one has its turn. */
  goOn(): void {
    if (this.#current?.isAlive && !this.#current.hasAnsweredConfig) return;
    const left = [...this.#waiting].filter(({ isAlive }) => isAlive);
    // Those without a config have no request that would have to wait.
    for (const thread of left.filter((one, i) => i === 0 || !one.hasConfig)) {
      if (thread.hasConfig) this.#current = thread;
      this.#send(thread);
    }
  }

  #send(thread: WorkerThread): void {
    this.#waiting.delete(thread);
    thread.post({ type: "config", config: this.#update.whole() });
  }

  /** Whether a worker has yet to be sent the config. */
  isWaiting(thread: WorkerThread): boolean {
    return this.#waiting.has(thread);
  }

  /** Whether a worker serves the config. */
  isWith(thread: WorkerThread): boolean {
    return thread.isServing && !this.isWaiting(thread);
  }

  noteTimes({ durationMs, sliceMaxMs }: ApplyTimes): void {
    this.#times.durationMs = Math.max(this.#times.durationMs, durationMs);
    this.#times.sliceMaxMs = Math.max(this.#times.sliceMaxMs, sliceMaxMs);
  }

  /** All that are waited for serve it. Nobody waits for a spare; it gets the config all the same. */
  succeed(): void {
    for (const thread of this.#waiting) this.#send(thread);
    this.#over.resolve({ ok: true, times: this.#times });
  }

  fail(message: string): void {
    this.#over.resolve({ ok: false, message });
  }
}

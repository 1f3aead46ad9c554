import { type ResourceLimits, Worker } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

export type WorkerCounters = Readonly<Record<string, number>>;

/** What a worker says when it is asked what it counted. */
export type WorkerReport = Extract<FromWorker, { readonly type: "counters" }>;

export interface WorkerSlotOptions {
  readonly entry: URL;
  readonly resourceLimits: ResourceLimits;
  /** Everything that is not an answer to a request of the slot's own. */
  readonly onMessage: (slot: WorkerSlot, message: FromWorker) => void;
  /** The worker is gone, for whatever reason; called once for each. */
  readonly onLost: (slot: WorkerSlot, cause: string) => void;
}

/**
 * The place of one worker thread, and the thread that has it now. It knows what its worker was asked and has not
 * answered; who puts a successor into it, and when, is the group's business.
 */
export class WorkerSlot {
  readonly index: number;
  readonly #options: WorkerSlotOptions;
  #worker: Worker | null = null;
  #port: number | null = null;
  #configsUnanswered = 0;
  #hasConfig = false;
  #hasApplied = false;
  #nextRequestId = 1;
  readonly #requests = new Map<number, (counters: WorkerCounters | null) => void>();
  #report: WorkerReport | null = null;

  constructor(index: number, options: WorkerSlotOptions) {
    this.index = index;
    this.#options = options;
  }

  get isAlive(): boolean {
    return this.#worker !== null;
  }

  /** The port that the worker listens on; null until it does. */
  get port(): number | null {
    return this.#port;
  }

  /** Whether the worker has answered the newest config that it was sent; it answers each, in order. */
  get hasAnsweredConfig(): boolean {
    return this.#hasConfig && this.#configsUnanswered === 0;
  }

  /** Whether the worker listens and has answered the newest config. */
  get isServing(): boolean {
    return this.#port !== null && this.hasAnsweredConfig;
  }

  /** Whether the worker listens and serves a config, be it the newest or the one before. */
  get carriesTraffic(): boolean {
    return this.#port !== null && this.#hasApplied;
  }

  /** Whether the worker owes an answer: it has not said that it listens, or not answered a request or a config. */
  get isAwaited(): boolean {
    return this.isAlive && (this.#port === null || this.#configsUnanswered > 0 || this.#requests.size > 0);
  }

  /** What the worker counted, as last asked. */
  get counters(): WorkerCounters {
    return this.#report?.counters ?? {};
  }

  /** The same with what it counted by series; null until it was first asked. */
  get report(): WorkerReport | null {
    return this.#report;
  }

  start(workerData: WorkerStart): void {
    const worker = new Worker(this.#options.entry, {
      workerData,
      resourceLimits: this.#options.resourceLimits,
      name: `worker ${workerData.workerIndex}`,
    });
    this.#worker = worker;
    let cause: string | null = null;
    worker.on("message", (message: FromWorker) => {
      if (this.#worker === worker) this.#receive(message);
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      cause = error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out of memory" : String(error?.stack ?? error);
    });
    worker.on("exit", (code) => this.#lose(worker, cause ?? `exited with code ${code}`));
  }

  post(message: ToWorker): void {
    if (this.#worker === null) return;
    if (message.type === "config") {
      this.#configsUnanswered++;
      this.#hasConfig = true;
    }
    this.#worker.postMessage(message);
  }

  /**
   * What the worker has counted. It has then taken in everything that was posted before.
   * Null when the worker was lost first.
   */
  requestCounters(): Promise<WorkerCounters | null> {
    if (this.#worker === null) return Promise.resolve(null);
    const id = this.#nextRequestId++;
    return new Promise((resolve) => {
      this.#requests.set(id, resolve);
      this.post({ type: "counters", id });
    });
  }

  /** Ends the worker; `onLost` follows with this cause. */
  end(cause: string): void {
    const worker = this.#worker;
    if (worker === null) return;
    this.#lose(worker, cause);
    void worker.terminate();
  }

  #receive(message: FromWorker): void {
    if (message.type === "counters") {
      this.#report = message;
      this.#requests.get(message.id)?.(message.counters);
      this.#requests.delete(message.id);
      return;
    }
    if (message.type === "listening") this.#port = message.port;
    if (message.type === "applied") this.#hasApplied = true;
    if (message.type === "applied" || message.type === "apply-failed") this.#configsUnanswered--;
    this.#options.onMessage(this, message);
  }

  #lose(worker: Worker, cause: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#port = null;
    this.#configsUnanswered = 0;
    this.#hasConfig = false;
    this.#hasApplied = false;
    for (const resolve of this.#requests.values()) resolve(null);
    this.#requests.clear();
    this.#options.onLost(this, cause);
    this.#report = null;
  }
}

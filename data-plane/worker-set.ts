import type { ResourceLimits } from "node:worker_threads";
import type { ExplainQuestion, Explanation } from "./proxy/explanation.ts";
import { type TrafficSum, TrafficTotals, type WorkerTraffic } from "./status/traffic-totals.ts";
import { isLevel } from "./telemetry/counters.ts";
import type { Timers } from "./upstream/timers.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";
import { type WorkerCounters, type WorkerRole, WorkerThread } from "./worker-thread.ts";

export interface WorkerSetOptions {
  readonly entry: URL;
  readonly resourceLimits: ResourceLimits;
  /** What every worker starts with. */
  readonly start: Omit<WorkerStart, "number">;
  /** Workers that can be there at once; their numbers are 0 to one less. */
  readonly maxCount: number;
  readonly timers: Timers;
  readonly onMessage: (thread: WorkerThread, message: FromWorker) => void;
  readonly onLost: (thread: WorkerThread, cause: string) => void;
  /** A worker counts of endpoints in this memory from now on. */
  readonly onEndpointBlock: (workerNumber: number, index: number, buffer: SharedArrayBuffer) => void;
  /** Nothing of the worker runs any more. */
  readonly onExited: (workerNumber: number) => void;
}

const COUNTERS_WAIT_MS = 1_000;
/** Less than the control plane waits for the node. */
const EXPLAIN_WAIT_MS = 8_000;

/** How many workers can be there at once: those that serve, their successors, a spare, and one that was just lost. */
export function workerNumbers(count: number): number {
  return 2 * count + 2;
}

/** The worker threads that are there, and what they and those before them have counted. */
export class WorkerSet {
  readonly #options: WorkerSetOptions;
  readonly #threads = new Set<WorkerThread>();
  readonly #freeNumbers: number[];
  /** What workers that are gone had counted. */
  readonly #formerCounters: Record<string, number> = {};
  readonly #formerTraffic: TrafficTotals;
  #waiting: (() => void)[] = [];

  constructor(options: WorkerSetOptions) {
    this.#options = options;
    this.#formerTraffic = new TrafficTotals(options.start.settings.metricsSeriesMax);
    this.#freeNumbers = Array.from({ length: options.maxCount }, (_, number) => number);
  }

  /** The workers with this role, or all, in the order of their start. */
  all(role?: WorkerRole): WorkerThread[] {
    return [...this.#threads].filter((thread) => role === undefined || thread.role === role);
  }

  /** A new worker, a spare until it is told otherwise; null while there are as many as can be. */
  start(firstMessage: ToWorker | null): WorkerThread | null {
    const number = this.#freeNumbers.sort((a, b) => a - b).shift();
    if (number === undefined) return null;
    const { entry, resourceLimits, start, onMessage, onExited, onEndpointBlock } = this.#options;
    const thread = new WorkerThread(
      { ...start, number },
      {
        entry,
        resourceLimits,
        onMessage: (from, message) => {
          if (message.type === "left") this.#passOn(from, message);
          else if (message.type === "endpoint-block") onEndpointBlock(number, message.index, message.buffer);
          else onMessage(from, message);
          this.#changed();
        },
        onLost: (lost, cause) => this.#lost(lost, cause),
        onExited: () => {
          onExited(number);
          this.#freeNumbers.push(number);
        },
      },
    );
    this.#threads.add(thread);
    if (firstMessage !== null) thread.post(firstMessage);
    // Its first pulse: the answer says that it has started.
    void thread.requestCounters();
    return thread;
  }

  #lost(thread: WorkerThread, cause: string): void {
    this.#threads.delete(thread);
    const counted = Object.entries(thread.counters).filter(([name]) => !isLevel(name));
    addTo(this.#formerCounters, Object.fromEntries(counted));
    if (thread.report !== null) this.#formerTraffic.keep(thread.report.traffic);
    this.#options.onLost(thread, cause);
    this.#changed();
  }

  /** Gives a connection to whoever takes the place of the worker that it was with, or to any other one. */
  #passOn(from: WorkerThread, { socket, localPort, isTls }: Extract<FromWorker, { readonly type: "left" }>): void {
    const heirs = this.all().filter((each) => each !== from && each.hasApplied && each.role !== "leaving");
    const heir = heirs.find(({ role }) => role === "spare") ?? heirs[0];
    try {
      if (heir === undefined) socket.destroy();
      else heir.post({ type: "connection", socket, localPort, isTls }, [socket]);
    } catch {
      socket.destroy();
    }
  }

  post(message: ToWorker): void {
    for (const thread of this.#threads) thread.post(message);
  }

  /** Resolves when every worker has taken in, or will never see, what was posted until now. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.all().map((thread) => thread.requestCounters(true)));
  }

  /**
   * What would become of a request, by one of the workers that serve; by another one where that is lost meanwhile.
   * Errors: rejects when none can say, or not in time.
   */
  async explain(question: ExplainQuestion): Promise<Explanation> {
    let cancel = () => {};
    const timeout = new Promise<string>((resolve) => {
      cancel = this.#options.timers.after(EXPLAIN_WAIT_MS, () => resolve("no worker has answered in time"));
    });
    try {
      for (const thread of this.all("serving").filter(({ carriesTraffic }) => carriesTraffic)) {
        const explained = await Promise.race([thread.explain(question), timeout]);
        if (typeof explained === "string") throw new Error(explained);
        if (explained !== null) return explained;
      }
      throw new Error("no worker serves a configuration");
    } finally {
      cancel();
    }
  }

  /** What all workers of this run have counted. Waits at most a second for those that are busy. */
  async counters(): Promise<WorkerCounters> {
    let cancel = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.timers.after(COUNTERS_WAIT_MS, resolve);
    });
    await Promise.race([Promise.all(this.all().map((thread) => thread.requestCounters())), timeout]);
    cancel();
    const sums: Record<string, number> = { ...this.#formerCounters };
    for (const { counters } of this.#threads) addTo(sums, counters);
    return sums;
  }

  /** What all workers of this run have carried, as told with the counters last. */
  traffic(): TrafficSum {
    const reports: WorkerTraffic[] = [];
    for (const { report, counters, number } of this.#threads) {
      const connectionCount = counters["connections_active"] ?? 0;
      if (report !== null) reports.push({ ...report, workerIndex: number, connectionCount });
    }
    return this.#formerTraffic.sum(reports);
  }

  /** Resolves when something is so; looked at whenever a worker told something or was lost. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function addTo(sums: Record<string, number>, counters: WorkerCounters): void {
  for (const [name, count] of Object.entries(counters)) sums[name] = (sums[name] ?? 0) + count;
}

import type { Server, Socket } from "node:net";
import { type ResourceLimits, type Transferable, Worker } from "node:worker_threads";
import type { ExplainQuestion, Explanation } from "./proxy/explanation.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

export type WorkerCounters = Readonly<Record<string, number>>;

/** What a worker says when it is asked what it counted. */
export type WorkerReport = Extract<FromWorker, { readonly type: "counters" }>;

/** Serving: takes connections, or is about to. Spare: ready to. Leaving: finishes what it has. */
export type WorkerRole = "serving" | "spare" | "leaving";

export interface WorkerThreadOptions {
  readonly entry: URL;
  readonly resourceLimits: ResourceLimits;
  /** Everything that is not an answer to `requestCounters` or `explain`. */
  readonly onMessage: (thread: WorkerThread, message: FromWorker) => void;
  /** The worker is lost, or was ended; called once. It may run for a moment still. */
  readonly onLost: (thread: WorkerThread, cause: string) => void;
  /** Nothing of it runs any more; called once, after `onLost`. */
  readonly onExited: (thread: WorkerThread) => void;
}

/** Questions that a worker has not answered, also where nobody waits for that any more. */
const explainingMax = 256;

/** One worker thread from its start to its end: what it was asked, and has not answered. */
export class WorkerThread {
  readonly number: number;
  role: WorkerRole = "spare";
  /** Of a leaving or draining worker: nothing is under way on it any more. */
  isDrained = false;
  /** Written by takePulse: since its start, in a row while its heap was nearly full. */
  pulsesLived = 0;
  pulsesFull = 0;
  readonly #options: WorkerThreadOptions;
  readonly #worker: Worker;
  #isAlive = true;
  #hasStarted = false;
  #port: number | null = null;
  #configsUnanswered = 0;
  #hasConfig = false;
  #hasApplied = false;
  #publication = 0;
  #nextRequestId = 1;
  readonly #requests = new Map<number, (counters: WorkerCounters | null) => void>();
  /** Of those, the ones that wait for nothing else. */
  readonly #pulses = new Set<number>();
  readonly #explaining = new Map<number, (explanation: Explanation | string | null) => void>();
  /** Pulses since it owes an answer of each kind, or since it last gave one. */
  readonly #silence = { listening: 0, config: 0, request: 0 };
  #report: WorkerReport | null = null;

  constructor(workerData: WorkerStart, options: WorkerThreadOptions) {
    this.number = workerData.number;
    this.#options = options;
    const { entry, resourceLimits } = options;
    const worker = new Worker(entry, { workerData, resourceLimits, name: `worker ${workerData.number}` });
    this.#worker = worker;
    let cause: string | null = null;
    worker.on("message", (message: FromWorker) => this.#receive(message));
    worker.on("error", (error: NodeJS.ErrnoException) => {
      cause = error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out of memory" : String(error?.stack ?? error);
      // Its exit follows; connections must not be given to it until then.
      this.#lose(cause);
    });
    worker.on("exit", (code) => {
      this.#lose(cause ?? `exited with code ${code}`);
      options.onExited(this);
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Whether it has ever answered anything. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /** The port that the worker gets connections from; null until it does. */
  get port(): number | null {
    return this.#port;
  }

  /** Whether the worker has answered the newest config that it was sent; it answers each, in order. */
  get hasAnsweredConfig(): boolean {
    return this.#hasConfig && this.#configsUnanswered === 0;
  }

  /** Whether it was sent a config. */
  get hasConfig(): boolean {
    return this.#hasConfig;
  }

  /** Whether it has ever taken a config to serve. */
  get hasApplied(): boolean {
    return this.#hasApplied;
  }

  /** The publication that it serves; 0 when it serves none. */
  get publication(): number {
    return this.#publication;
  }

  /** Whether the worker gets connections and has answered the newest config. */
  get isServing(): boolean {
    return this.#port !== null && this.hasAnsweredConfig;
  }

  /** Whether the worker gets connections and serves a config, be it the newest or the one before. */
  get carriesTraffic(): boolean {
    return this.#port !== null && this.#hasApplied;
  }

  /** Whether the worker owes what it counted, and has nothing to do before that. */
  get isAsked(): boolean {
    return this.#pulses.size > 0;
  }

  /**
   * Counts a pulse. One that gets configs all the time always owes an answer: only what it has answered since tells
   * that it is well.
   * @returns in how many pulses in a row it owed an answer of one kind and gave none of that kind
   */
  countSilence(): number {
    const silence = this.#silence;
    silence.listening = this.role === "serving" && this.#port === null ? silence.listening + 1 : 0;
    silence.config = this.#configsUnanswered > 0 ? silence.config + 1 : 0;
    silence.request = this.#pulses.size > 0 ? silence.request + 1 : 0;
    return this.#isAlive ? Math.max(silence.listening, silence.config, silence.request) : 0;
  }

  /** What the worker counted, as last asked. */
  get counters(): WorkerCounters {
    return this.#report?.counters ?? {};
  }

  /** The same with what it counted by series; null until it was first asked. */
  get report(): WorkerReport | null {
    return this.#report;
  }

  /** The heap that it uses, as last asked. */
  get heapBytes(): number {
    return this.#report?.heapBytes ?? 0;
  }

  /**
   * Messages are taken in in the order in which they are posted, also those from before the worker has started.
   * Errors: throws when a handle among `handles` cannot be moved to another thread; nothing is posted then.
   */
  post(message: ToWorker, handles: readonly (Server | Socket)[] = []): void {
    if (!this.#isAlive) return;
    // Node moves TCP handles between threads since 24.21; its types do not know yet.
    this.#worker.postMessage(message, handles as unknown as Transferable[]);
    if (message.type !== "config") return;
    this.#configsUnanswered++;
    this.#hasConfig = true;
  }

  /**
   * What the worker has counted; null when it was lost first.
   * @param afterConfigs once it has taken in everything that was posted before
   */
  requestCounters(afterConfigs = false): Promise<WorkerCounters | null> {
    if (!this.#isAlive) return Promise.resolve(null);
    const id = this.#nextRequestId++;
    return new Promise((resolve) => {
      this.#requests.set(id, resolve);
      if (!afterConfigs) this.#pulses.add(id);
      this.post({ type: "counters", id, afterConfigs });
    });
  }

  /** What would become of a request; a string says why nobody knows, null that the worker was lost first. */
  explain(question: ExplainQuestion): Promise<Explanation | string | null> {
    if (!this.#isAlive) return Promise.resolve(null);
    if (this.#explaining.size >= explainingMax) return Promise.resolve("the worker is asked too much");
    const id = this.#nextRequestId++;
    return new Promise((resolve) => {
      this.#explaining.set(id, resolve);
      this.post({ type: "explain", id, question });
    });
  }

  /** Ends the worker; `onLost` is called at once, with this cause. */
  end(cause: string): void {
    if (!this.#isAlive) return;
    this.#lose(cause);
    void this.#worker.terminate();
  }

  #receive(message: FromWorker): void {
    if (!this.#isAlive) {
      // What it hands over in its last moment is closed: the group does not know it any more.
      if (message.type === "handed-over" || message.type === "failed") {
        for (const server of [...message.servers.plain, ...message.servers.tls]) server.close();
      } else if (message.type === "left") this.#options.onMessage(this, message);
      return;
    }
    this.#hasStarted = true;
    if (message.type === "counters") {
      // A large config takes its time beside much traffic: while it is being applied, nothing is stuck.
      if (message.sliceCount !== (this.#report?.sliceCount ?? 0)) this.#silence.config = 0;
      this.#report = message;
      this.#requests.get(message.id)?.(message.counters);
      this.#requests.delete(message.id);
      this.#pulses.delete(message.id);
      this.#silence.request = 0;
      return;
    }
    if (message.type === "explained") {
      this.#explaining.get(message.id)?.(message.explanation);
      this.#explaining.delete(message.id);
      return;
    }
    if (message.type === "listening") this.#port = message.port;
    if (message.type === "applied") {
      this.#hasApplied = true;
      this.#publication = message.publication;
    }
    if (message.type === "applied" || message.type === "apply-failed") {
      this.#configsUnanswered--;
      this.#silence.config = 0;
    }
    if (message.type === "drained") this.isDrained = true;
    this.#options.onMessage(this, message);
    // Its exit follows; nobody is to wait for that.
    if (message.type !== "failed") return;
    this.post({ type: "no-more" });
    this.#lose(message.cause);
  }

  #lose(cause: string): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.#port = null;
    for (const resolve of [...this.#requests.values(), ...this.#explaining.values()]) resolve(null);
    this.#requests.clear();
    this.#pulses.clear();
    this.#explaining.clear();
    this.#options.onLost(this, cause);
  }
}

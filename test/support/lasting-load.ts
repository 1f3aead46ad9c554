/**
 * Load over connections that stay open, a process of its own so that nothing else delays what it measures. It never
 * repeats a request. Started by `LastingLoad`, which tells it when to go on at which rate, and when to rest.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { AnswerReader } from "../../bench/answer-reader.ts";
import { LatencyHistogram } from "./latency-histogram.ts";

export interface LoadSetup {
  readonly port: number;
  readonly connectionCount: number;
  /** A request without a body, as it goes over the wire. */
  readonly request: string;
  /** Length of the body that answers have. */
  readonly answerBytes: number;
}

/** What one stretch of load came to. */
export interface LoadCounts {
  completed: number;
  /** Answered otherwise than with 200, not at all within 10 s, or cut. */
  failed: number;
  /** Connections that the other side closed. */
  closed: number;
  elapsedMs: number;
  /** Of `LatencyHistogram`: from when a request was due to its answer's last byte. */
  latencyCounts: number[];
}

type Order =
  | { readonly type: "open"; readonly setup: LoadSetup }
  /** `perSecond` null: each connection asks again as soon as it is answered. */
  | { readonly type: "go"; readonly perSecond: number | null }
  | { readonly type: "rest" };

/** The load as its process's parent sees it. */
export class LastingLoad {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async open(setup: LoadSetup): Promise<LastingLoad> {
    const load = new LastingLoad(fork(import.meta.filename));
    await load.#order({ type: "open", setup });
    return load;
  }

  /** Sends for so long, then waits until everything is answered. */
  async run(seconds: number, perSecond: number | null): Promise<LoadCounts> {
    await this.#order({ type: "go", perSecond });
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    return (await this.#order({ type: "rest" })) as LoadCounts;
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  /** Errors: rejects when the process ends, as it does when it cannot connect. */
  async #order(order: Order): Promise<unknown> {
    const over = new AbortController();
    const ended = once(this.#child, "exit", { signal: over.signal }).then(() => {
      throw new Error("the load's process ended");
    });
    const answered = once(this.#child, "message", { signal: over.signal });
    this.#child.send(order);
    try {
      return ((await Promise.race([answered, ended])) as unknown[])[0];
    } finally {
      over.abort();
      await Promise.allSettled([answered, ended]);
    }
  }
}

const silenceMs = 10_000;
/** Requests that are due are sent in steps of this: finer ones would only heat the core. */
const stepMs = 1;

/** One connection; when it is closed, another takes its place. */
class LoadConnection {
  readonly #setup: LoadSetup;
  readonly #onEnd: (connection: LoadConnection, isGood: boolean) => void;
  readonly #onClosed: () => void;
  #socket!: Socket;
  #reader!: AnswerReader;
  dueAtMs = Number.NaN;

  constructor(setup: LoadSetup, onEnd: (connection: LoadConnection, isGood: boolean) => void, onClosed: () => void) {
    this.#setup = setup;
    this.#onEnd = onEnd;
    this.#onClosed = onClosed;
  }

  open(): Promise<void> {
    const { port, answerBytes } = this.#setup;
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const reader = new AnswerReader(answerBytes);
    this.#socket = socket;
    this.#reader = reader;
    socket.setTimeout(silenceMs, () => {
      if (!Number.isNaN(this.dueAtMs)) socket.destroy();
    });
    socket.on("data", (bytes: Buffer) => {
      const ended = reader.read(bytes);
      // More answers than requests: nothing on this connection can be trusted.
      if (ended > 1 || (ended === 1 && reader.isMidway)) socket.destroy();
      else if (ended === 1) this.#end();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#onClosed();
      void this.open();
      if (!Number.isNaN(this.dueAtMs)) this.#onEnd(this, false);
    });
    return once(socket, "connect").then(() => {});
  }

  send(request: Buffer, dueAtMs: number): void {
    this.dueAtMs = dueAtMs;
    this.#socket.write(request);
  }

  #end(): void {
    const isGood = this.#reader.failed === 0;
    this.#reader.failed = 0;
    this.#onEnd(this, isGood);
  }
}

/** The load within its process. */
class LoadProcess {
  readonly #request: Buffer;
  readonly #idle: LoadConnection[] = [];
  /** Due times of requests that found no idle connection: their waiting counts. */
  #waiting: number[] = [];
  #counts!: LoadCounts;
  #latencies = new LatencyHistogram();
  #underWay = 0;
  #goesOn = false;
  #isClosedLoop = false;
  #startedAtMs = 0;
  #stepping: NodeJS.Timeout | undefined;
  #onIdle: () => void = () => {};

  constructor(setup: LoadSetup) {
    this.#request = Buffer.from(setup.request, "latin1");
    this.#forget();
  }

  async open(setup: LoadSetup): Promise<void> {
    for (let i = 0; i < setup.connectionCount; i++) {
      const connection = new LoadConnection(
        setup,
        (ended, isGood) => this.#ended(ended, isGood),
        () => this.#counts.closed++,
      );
      await connection.open();
      this.#idle.push(connection);
    }
  }

  go(perSecond: number | null): void {
    this.#forget();
    this.#goesOn = true;
    this.#isClosedLoop = perSecond === null;
    this.#startedAtMs = performance.now();
    if (perSecond === null) {
      for (let i = this.#idle.length; i > 0; i--) this.#send(performance.now());
      return;
    }
    let due = 0;
    this.#stepping = setInterval(() => {
      const nowMs = performance.now();
      const dueNow = Math.floor(((nowMs - this.#startedAtMs) / 1_000) * perSecond);
      // Due from now on: that this timer fired late is no fault of the proxy's.
      for (; due < dueNow; due++) this.#send(nowMs);
    }, stepMs);
  }

  async rest(): Promise<LoadCounts> {
    clearInterval(this.#stepping);
    this.#goesOn = false;
    this.#counts.elapsedMs = performance.now() - this.#startedAtMs;
    while (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    return { ...this.#counts, latencyCounts: this.#latencies.counts };
  }

  #forget(): void {
    this.#counts = { completed: 0, failed: 0, closed: 0, elapsedMs: 0, latencyCounts: [] };
    this.#latencies = new LatencyHistogram();
    this.#waiting = [];
  }

  #send(dueAtMs: number): void {
    this.#underWay++;
    // In turn: one over which nothing comes is closed after the time for a head, and that is no fault of the proxy's.
    const connection = this.#idle.shift();
    if (connection === undefined) this.#waiting.push(dueAtMs);
    else connection.send(this.#request, dueAtMs);
  }

  #ended(connection: LoadConnection, isGood: boolean): void {
    this.#underWay--;
    if (isGood) {
      this.#counts.completed++;
      this.#latencies.add(performance.now() - connection.dueAtMs);
    } else this.#counts.failed++;
    connection.dueAtMs = Number.NaN;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) connection.send(this.#request, waiting);
    else this.#idle.push(connection);
    if (this.#isClosedLoop && this.#goesOn) this.#send(performance.now());
    if (this.#underWay === 0) this.#onIdle();
  }
}

if (process.argv[1] === import.meta.filename) {
  let load: LoadProcess | null = null;
  process.on("message", async (order: Order) => {
    if (order.type === "open") {
      load = new LoadProcess(order.setup);
      await load.open(order.setup);
      process.send?.("opened");
    } else if (order.type === "go") {
      load!.go(order.perSecond);
      process.send?.("going");
    } else process.send?.(await load!.rest());
  });
  process.on("disconnect", () => process.exit());
}

import { connect, type Socket } from "node:net";
import { AnswerReader } from "./answer-reader.ts";
import { type LoadOrder, type LoadResult, silenceTimeoutMs } from "./load-order.ts";
import { percentile } from "./statistics.ts";

/** Requests are sent in steps of this: finer ones would only heat the core that the targets need. */
const stepMs = 1;

class RateConnection {
  readonly socket: Socket;
  readonly reader: AnswerReader;
  /** When the request under way was due; NaN: none is. */
  dueAtMs = Number.NaN;

  constructor({ port, answerBytes }: LoadOrder) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.reader = new AnswerReader(answerBytes);
  }
}

/** Requests that find no idle connection wait for one, and their waiting counts: a slow proxy gets no slower load. */
class FixedRate {
  readonly #order: LoadOrder;
  readonly #perSecond: number;
  readonly #requests: readonly Buffer[];
  readonly #idle: RateConnection[] = [];
  readonly #connections: RateConnection[] = [];
  /** Due times of requests that wait for a connection. */
  readonly #waiting: number[] = [];
  readonly #latenciesMs: number[] = [];
  #started = 0;
  #failed = 0;
  readonly #done = Promise.withResolvers<void>();

  constructor(order: LoadOrder, perSecond: number) {
    this.#order = order;
    this.#perSecond = perSecond;
    this.#requests = order.requests.map((text) => Buffer.from(text, "latin1"));
  }

  async run(): Promise<LoadResult> {
    await Promise.all(Array.from({ length: this.#order.connectionCount }, () => this.#open()));
    const startMs = performance.now();
    let due = 0;
    const stepping = setInterval(() => {
      const nowMs = performance.now();
      const dueNow = Math.min(this.#order.requestCount, Math.floor(((nowMs - startMs) * this.#perSecond) / 1000));
      // Due from now on: that this timer fired late is no fault of the proxy's.
      for (; due < dueNow; due++) this.#send(nowMs);
      if (due === this.#order.requestCount) clearInterval(stepping);
    }, stepMs);
    await this.#done.promise;
    clearInterval(stepping);
    const elapsedMs = performance.now() - startMs;
    for (const { socket } of this.#connections) socket.destroy();
    const sorted = this.#latenciesMs.toSorted((a, b) => a - b);
    return {
      completed: sorted.length,
      failed: this.#failed,
      resumed: 0,
      elapsedMs,
      latencyMs: { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) },
    };
  }

  #open(): Promise<void> {
    const connection = new RateConnection(this.#order);
    const { socket, reader } = connection;
    this.#connections.push(connection);
    socket.setTimeout(silenceTimeoutMs, () => {
      if (!Number.isNaN(connection.dueAtMs)) socket.destroy();
    });
    socket.on("data", (bytes: Buffer) => {
      if (reader.read(bytes) === 1) this.#answered(connection);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (Number.isNaN(connection.dueAtMs)) return;
      // The connection is not replaced: a run in which that happens is not valid anyway.
      this.#failed++;
      this.#finishWhenAllEnded();
    });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        this.#idle.push(connection);
        resolve();
      });
    });
  }

  #send(dueAtMs: number): void {
    const connection = this.#idle.pop();
    if (connection === undefined) {
      this.#waiting.push(dueAtMs);
      return;
    }
    connection.dueAtMs = dueAtMs;
    connection.socket.write(this.#requests[this.#started++ % this.#requests.length]!);
  }

  #answered(connection: RateConnection): void {
    if (connection.reader.failed === 0) this.#latenciesMs.push(performance.now() - connection.dueAtMs);
    else this.#failed++;
    connection.reader.failed = 0;
    connection.dueAtMs = Number.NaN;
    this.#idle.push(connection);
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) this.#send(waiting);
    this.#finishWhenAllEnded();
  }

  #finishWhenAllEnded(): void {
    const ended = this.#latenciesMs.length + this.#failed;
    if (ended === this.#order.requestCount || this.#failed > this.#order.requestCount / 100) this.#done.resolve();
  }
}

export function runFixedRate(order: LoadOrder, perSecond: number): Promise<LoadResult> {
  return new FixedRate(order, perSecond).run();
}

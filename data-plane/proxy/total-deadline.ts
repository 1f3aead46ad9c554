import { Deadline, type DeadlineOwner } from "../upstream/deadline-wheel.ts";
import { answerByOurselves } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { Counter } from "./proxy-counters.ts";
import { proxyError } from "./proxy-error.ts";

/** The time that a request has in all, over all its attempts. A connection makes one when a route first asks for it. */
export class TotalDeadline implements DeadlineOwner {
  readonly #exchange: Exchange;
  readonly #deadline: Deadline;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#deadline = new Deadline(exchange.engine.wheel, this);
  }

  start(delayMs: number): void {
    this.#deadline.set(delayMs);
  }

  stop(): void {
    this.#deadline.clear();
  }

  /** The connection is gone. */
  release(): void {
    this.#deadline.release();
  }

  /** The target is not to blame alone, so the attempt under way is ended and counts against nobody. */
  onDeadline(): void {
    const exchange = this.#exchange;
    if (!exchange.isActive) return;
    exchange.engine.counters.add(Counter.limit_total_time);
    if (exchange.isAnswered) {
      exchange.engine.counters.add(Counter.responses_cut);
      exchange.failure = proxyError("total_timeout").type;
      exchange.client.cut();
      return;
    }
    exchange.abandonAttempt();
    answerByOurselves(exchange, proxyError("total_timeout"));
  }
}

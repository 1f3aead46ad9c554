import type { RetryBudgetConfig } from "../config/resilience-config.ts";

const halfWindowMs = 5_000;

/**
 * How many further attempts there may be in 5 to 10 seconds: a share of the requests, and so many beside as ten seconds
 * are worth. When everything fails, retries must not multiply the load on what is failing.
 *
 * Knows no clock. Cost: a comparison and an addition per request.
 * Source: the retry budgets of Finagle, whose figures these are: 20 % of the requests and 10 a second, for 10 seconds.
 */
export class RetryBudget {
  #config: RetryBudgetConfig;
  readonly #share: number;
  #halfEndsAtMs = Number.NEGATIVE_INFINITY;
  #requests = 0;
  #requestsBefore = 0;
  #spent = 0;
  #spentBefore = 0;

  /** @param share of the node's budget per second that is this thread's, above 0 */
  constructor(config: RetryBudgetConfig, share: number) {
    this.#config = config;
    this.#share = share;
  }

  configure(config: RetryBudgetConfig): void {
    this.#config = config;
  }

  /** A request has come. */
  request(nowMs: number): void {
    if (nowMs >= this.#halfEndsAtMs) this.#turn(nowMs);
    this.#requests++;
  }

  /** Whether there is a further attempt left; it is spent then. */
  take(nowMs: number): boolean {
    if (nowMs >= this.#halfEndsAtMs) this.#turn(nowMs);
    const { ratio, minPerSecond } = this.#config;
    const earned =
      ratio * (this.#requests + this.#requestsBefore) + (minPerSecond * this.#share * 2 * halfWindowMs) / 1_000;
    if (this.#spent + this.#spentBefore + 1 > earned) return false;
    this.#spent++;
    return true;
  }

  #turn(nowMs: number): void {
    const isNext = nowMs - this.#halfEndsAtMs < halfWindowMs;
    this.#requestsBefore = isNext ? this.#requests : 0;
    this.#spentBefore = isNext ? this.#spent : 0;
    this.#requests = 0;
    this.#spent = 0;
    this.#halfEndsAtMs = isNext ? this.#halfEndsAtMs + halfWindowMs : nowMs + halfWindowMs;
  }
}

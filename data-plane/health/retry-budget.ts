import type { RetryBudgetConfig } from "../config/resilience-config.ts";

const halfWindowMs = 5_000;

/**
 * How many further attempts there may be: a share of the requests of the last 5 to 10 seconds, and so many a second
 * beside. When everything fails, retries must not multiply the load on what is failing.
 *
 * Knows no clock. Cost: a comparison and an addition per request.
 * Source: the retry budgets of Finagle, whose figures these are: 20 % of the requests and 10 a second, for 10 seconds.
 */
export class RetryBudget {
  #config: RetryBudgetConfig;
  readonly #share: number;
  #startedAtMs = Number.NEGATIVE_INFINITY;
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
    const windowMs = Math.min(nowMs - this.#startedAtMs, halfWindowMs + (nowMs - (this.#halfEndsAtMs - halfWindowMs)));
    const earned = ratio * (this.#requests + this.#requestsBefore) + (minPerSecond * this.#share * windowMs) / 1_000;
    if (this.#spent + this.#spentBefore + 1 > earned) return false;
    this.#spent++;
    return true;
  }

  #turn(nowMs: number): void {
    if (!Number.isFinite(this.#startedAtMs)) this.#startedAtMs = nowMs;
    const isNext = nowMs - this.#halfEndsAtMs < halfWindowMs;
    this.#requestsBefore = isNext ? this.#requests : 0;
    this.#spentBefore = isNext ? this.#spent : 0;
    this.#requests = 0;
    this.#spent = 0;
    this.#halfEndsAtMs = isNext ? this.#halfEndsAtMs + halfWindowMs : nowMs + halfWindowMs;
  }
}

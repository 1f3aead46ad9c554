/** How a pool goes on when endpoints fail, with every default filled in. Design and defaults: docs/resilience.md. */
export interface ResilienceConfig {
  readonly retry: RetryConfig;
  readonly budget: RetryBudgetConfig;
  /** null = no endpoint is taken out for what it does to traffic. */
  readonly outlier: OutlierConfig | null;
  /** null = silence is waited out. */
  readonly stall: StallConfig | null;
  readonly panic: PanicConfig;
}

/** When a request is sent again after bytes of it were sent. */
export interface RetryConfig {
  readonly isEnabled: boolean;
  /** Answers that another endpoint may better. */
  readonly statuses: readonly number[];
  /** Upper case; null = those that RFC 9110 section 9.2.2 calls idempotent. */
  readonly methods: readonly string[] | null;
  /** Whether Idempotency-Key makes a request of any method one that may be executed twice. */
  readonly takesIdempotencyKey: boolean;
  /** null = the service's read timeout. */
  readonly perTryTimeoutMs: number | null;
  /** Of a request's body, in its framing: a longer one is not kept. */
  readonly bodyMaxBytes: number;
}

export interface RetryBudgetConfig {
  /** Further attempts per request. */
  readonly ratio: number;
  /** Further attempts per second on the whole node, beside those. */
  readonly minPerSecond: number;
}

export interface OutlierConfig {
  /** Whether one failed connection takes an endpoint out. */
  readonly ejectsRefusing: boolean;
  /** 0 = none do. */
  readonly consecutiveResets: number;
  /** 0 = none do. */
  readonly consecutiveStatuses: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** 0 to 100; of the endpoints, for all causes but failed connects. */
  readonly maxEjectedPercent: number;
}

export interface StallConfig {
  readonly minSilenceMs: number;
  /** Times the longest wait for a first byte that a route has shown lately. */
  readonly factor: number;
}

/**
 * Who gets requests in a panic. `fail_open`: every endpoint but those that a person took out. `fail_open_unchecked`:
 * those of them that no health check has taken out; so an upstream whose targets are all down by the word of its checks
 * answers 503 at once, as Kong does. `fail_closed`: none. `last_good`: those that
 * were in when there were still enough, as far back as it takes to have enough of them.
 */
export type PanicMode = "fail_open" | "fail_open_unchecked" | "fail_closed" | "last_good";

export interface PanicConfig {
  /** 0 to 100, of the weight: at or below it the pool panics. 0 = when nothing is left. */
  readonly thresholdPercent: number;
  readonly mode: PanicMode;
}

export const defaultResilience: ResilienceConfig = {
  retry: {
    isEnabled: true,
    statuses: [502, 503, 504],
    methods: null,
    takesIdempotencyKey: false,
    perTryTimeoutMs: null,
    bodyMaxBytes: 65_536,
  },
  budget: { ratio: 0.2, minPerSecond: 10 },
  outlier: {
    ejectsRefusing: true,
    consecutiveResets: 5,
    consecutiveStatuses: 5,
    baseEjectionMs: 500,
    maxEjectionMs: 10_000,
    maxEjectedPercent: 50,
  },
  stall: { minSilenceMs: 500, factor: 4 },
  panic: { thresholdPercent: 0, mode: "fail_open_unchecked" },
};

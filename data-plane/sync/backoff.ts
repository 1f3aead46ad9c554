export interface BackoffOptions {
  /** Upper bound of the first delay. */
  readonly firstMaxMs: number;
  /** Upper bound of every delay. */
  readonly maxMs: number;
}

/**
 * How long to wait before trying again, with full jitter: anything from nothing up to a bound that doubles with each
 * failure. So a fleet whose control plane restarts comes back spread over the whole time instead of in waves.
 * Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
 * @param failureCount failures in a row so far, from 0
 * @param random 0 <= random < 1
 */
export function backoffMs(failureCount: number, random: number, { firstMaxMs, maxMs }: BackoffOptions): number {
  // Beyond 2^30 the bound is over any sane maximum, and the shift would overflow.
  const boundMs = Math.min(maxMs, firstMaxMs * 2 ** Math.min(failureCount, 30));
  return boundMs * random;
}

/** The items in random order, every order equally likely. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}

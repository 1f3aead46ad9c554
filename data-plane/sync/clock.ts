/** Time as the sync client sees it; tests pass one that they turn by hand. */
export interface Clock {
  /** For intervals; never jumps. */
  monotonicMs(): number;
  /** For people. */
  unixMs(): number;
  /** Calls `run` once after the delay; returns the way to prevent that. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  unixMs: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

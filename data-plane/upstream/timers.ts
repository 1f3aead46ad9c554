/** The clock and the timers, passed in so that tests can use their own. */
export interface Timers {
  /** Milliseconds since some fixed instant; never goes back. */
  nowMs(): number;
  /** Calls `run` once, after `delayMs`; what is returned takes that back. */
  after(delayMs: number, run: () => void): () => void;
}

/** The machine's own. They keep no process alive. */
export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

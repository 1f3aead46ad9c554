import type { Clock } from "./clock.ts";

/**
 * A clock whose timers end no process: nobody stands above a timer to catch what it throws.
 * @param onError told of what one throws; must not throw itself
 */
export function guardedClock(clock: Clock, onError: (error: unknown) => void): Clock {
  return {
    monotonicMs: () => clock.monotonicMs(),
    unixMs: () => clock.unixMs(),
    after: (delayMs, run) =>
      clock.after(delayMs, () => {
        try {
          run();
        } catch (error) {
          onError(error);
        }
      }),
  };
}

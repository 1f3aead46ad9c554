import { closeSync, openSync } from "node:fs";
import { isShortage } from "./listener/accept-shortage.ts";
import type { Timers } from "./upstream/timers.ts";

export interface DescriptorWatchOptions {
  readonly timers: Timers;
  /** Default: asks the system. */
  readonly hasFree?: () => boolean;
  readonly onShort: () => void;
  readonly onRecovered: () => void;
}

const intervalMs = 50;
/** One that is free for a moment is no end of it: the next client has it. */
const calmBeforeRecoveredMs = 1_000;

/**
 * Watches whether the process has file descriptors left. Nobody else says so: an event loop that cannot
 * accept a connection for want of one (libuv 1.52) keeps that to itself and asks again at once, for as long as the
 * connection waits. It has a descriptor in reserve to take and close such connections with; of several threads, one
 * soon takes another's.
 *
 * Cost: 6 us every 50 ms.
 * @returns what ends it
 */
export function watchDescriptors({
  timers,
  hasFree = hasFreeDescriptor,
  onShort,
  onRecovered,
}: DescriptorWatchOptions) {
  let lastShortAtMs: number | null = null;
  let cancel = () => {};
  function look(): void {
    const nowMs = timers.nowMs();
    if (!hasFree()) {
      const isNew = lastShortAtMs === null;
      lastShortAtMs = nowMs;
      if (isNew) onShort();
    } else if (lastShortAtMs !== null && nowMs - lastShortAtMs >= calmBeforeRecoveredMs) {
      lastShortAtMs = null;
      onRecovered();
    }
    cancel = timers.after(intervalMs, look);
  }
  look();
  return () => cancel();
}

/** Whether one more file can be opened. */
export function hasFreeDescriptor(): boolean {
  try {
    closeSync(openSync("/", "r"));
  } catch (error) {
    // Windows opens no folders, and has no such limit.
    return !isShortage(error as NodeJS.ErrnoException);
  }
  return true;
}

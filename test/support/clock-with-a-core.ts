import { openSync, readSync } from "node:fs";

/** What the kernel knows of a thread since it began. Linux only. */
export interface ThreadTimes {
  /** For how long it ran, in milliseconds; without what a hypervisor took meanwhile, where that tells (steal time). */
  readonly ranMs: number;
  /** For how long it could run and had no core to run on, in milliseconds. */
  readonly waitedMs: number;
  /** How often it was given a core. */
  readonly turnCount: number;
}

const schedule = openSync("/proc/thread-self/schedstat", "r");
const text = Buffer.alloc(128);

/** Of this thread. */
export function threadTimes(): ThreadTimes {
  // Has the kernel count what ran since the last tick of its timer.
  process.cpuUsage();
  // As it writes it: nanoseconds that it ran, nanoseconds that it waited, turns that it had.
  const [ranNs, waitedNs, turnCount] = text
    .toString("latin1", 0, readSync(schedule, text, 0, text.length, 0))
    .split(" ");
  return { ranMs: Number(ranNs) / 1e6, waitedMs: Number(waitedNs) / 1e6, turnCount: Number(turnCount) };
}

/**
 * From now on the thread's `performance.now()` stands still while it has no core, be it that another thread has it or,
 * where that is certain, that the hypervisor has given it to somebody else. What is measured by it is what the thread did,
 * be it work of its own or a wait for another thread, and not what else the machine had to do.
 */
export function leaveOutWaitsForCore(): void {
  const wallMs = performance.now.bind(performance);
  let before = { nowMs: wallMs(), ...threadTimes() };
  let stolenMs = 0;
  const value = () => {
    const last = before;
    before = { nowMs: wallMs(), ...threadTimes() };
    // In one turn it neither slept nor waited: what it did not run of that, nobody here did.
    const isOneTurn = before.turnCount === last.turnCount;
    if (isOneTurn) stolenMs += Math.max(0, before.nowMs - last.nowMs - (before.ranMs - last.ranMs));
    return before.nowMs - before.waitedMs - stolenMs;
  };
  Object.defineProperty(performance, "now", { value });
}

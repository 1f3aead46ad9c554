import { openSync, readSync } from "node:fs";

const waits = openSync("/proc/thread-self/schedstat", "r");
const text = Buffer.alloc(128);

/** For how long this thread could run and had no core to run on, in milliseconds since it began. */
export function waitedForCoreMs(): number {
  // As the kernel writes it: nanoseconds that it ran, nanoseconds that it waited, turns that it had.
  const [, waitedNs] = text.toString("latin1", 0, readSync(waits, text, 0, text.length, 0)).split(" ");
  return Number(waitedNs) / 1e6;
}

/**
 * From now on the thread's `performance.now()` stands still while it waits for a core. What is measured by it is what the
 * thread did, be it work of its own or a wait for another thread, and not what else the machine had to do.
 */
export function leaveOutWaitsForCore(): void {
  const wallMs = performance.now.bind(performance);
  Object.defineProperty(performance, "now", { value: () => wallMs() - waitedForCoreMs() });
}

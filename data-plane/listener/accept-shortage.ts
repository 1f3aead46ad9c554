const shortages: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);
const restMs = 5;
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** Whether a connection could not be accepted because the machine, or the process, has run out of something. */
export function isShortage(error: NodeJS.ErrnoException): boolean {
  return shortages.has(error.code ?? "");
}

/**
 * Rests the thread a moment. Without a descriptor the connection stays in the queue and the event loop comes back to
 * it at once, for ever: a loop that does nothing with all of a core. There is no way to stop listening for a
 * while that does not reset what waits in the queue; so the loop turns slowly until there is room. Mostly the event
 * loop's own reserve spares us this: it takes the waiting connections with one descriptor that it keeps, and closes
 * them.
 */
export function restAfterShortage(): void {
  Atomics.wait(nobodyWakes, 0, 0, restMs);
}

const shortages: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);
const restMs = 5;
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** Whether something could not be opened because the machine, or the process, has run out of something. */
export function isShortage(error: NodeJS.ErrnoException): boolean {
  return shortages.has(error.code ?? "");
}

/** Rests the thread a moment. */
export function restAfterShortage(): void {
  Atomics.wait(nobodyWakes, 0, 0, restMs);
}

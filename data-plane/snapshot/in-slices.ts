/**
 * Takes steps to their end, with a turn of the event loop whenever they took `sliceMs` or more together: a thread that
 * also answers others is never kept from it for longer than that and a step.
 */
export async function inSlices<T>(steps: Generator<void, T>, sliceMs: number): Promise<T> {
  for (;;) {
    const endAtMs = performance.now() + sliceMs;
    do {
      const step = steps.next();
      if (step.done) return step.value;
    } while (performance.now() < endAtMs);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/**
 * Takes steps to their end, with a turn of the event loop whenever they took `sliceMs` or more together: a thread that
 * also answers others is never kept from it for longer than that and a step.
 *
 * @param onSlice told how long each slice took
 */
export async function inSlices<T>(
  steps: Generator<void, T>,
  sliceMs: number,
  onSlice: (durationMs: number) => void = () => {},
): Promise<T> {
  for (;;) {
    const beganAtMs = performance.now();
    let step: IteratorResult<void, T>;
    let durationMs: number;
    do {
      step = steps.next();
      durationMs = performance.now() - beganAtMs;
    } while (!step.done && durationMs < sliceMs);
    onSlice(durationMs);
    if (step.done) return step.value;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

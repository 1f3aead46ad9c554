/** Takes all steps in one go. @returns what they come to */
export function untilDone<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

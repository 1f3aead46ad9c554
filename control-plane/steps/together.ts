/**
 * Takes the steps of each to their end, one after the other; but the first step of all of them before any other.
 * @returns what each comes to
 */
export function* together<T>(all: readonly Generator<void, T>[]): Generator<void, T[]> {
  const begun = all.map((steps) => ({ steps, first: steps.next() }));
  yield;
  const results: T[] = [];
  for (const { steps, first } of begun) results.push(first.done ? first.value : yield* steps);
  return results;
}

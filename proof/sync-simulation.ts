/**
 * 100,000 lives of small fleets: control planes and nodes with their real code, joined by a network that breaks
 * (test/simulation/sync-simulation.ts). In each, what nodes serve was published, only grows within an epoch, is acked
 * only when it is served, and in the end is the newest.
 */
import { noCounts } from "../test/simulation/simulation-counts.ts";
import { simulateSync } from "../test/simulation/sync-simulation.ts";
import type { Figure } from "./prove.ts";

const seedCount = 100_000;
const progressEvery = 5_000;
/** Failures that are told in full. */
const toldMaxCount = 10;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const counts = noCounts();
  let failedCount = 0;
  for (let seed = 0; seed < seedCount; seed++) {
    await simulateSync(seed, { counts }).catch((error: Error) => {
      if (++failedCount <= toldMaxCount) progress(error.message);
    });
    if ((seed + 1) % progressEvery === 0) progress(`${seed + 1} seeds, ${failedCount} failed`);
  }
  return [
    { name: "seeds that failed", value: failedCount, unit: "seeds", atMost: 0 },
    { name: "seeds", value: seedCount, unit: "seeds", atMost: null },
    ...Object.entries(counts).map(([name, value]) => ({ name, value, unit: "times", atMost: null })),
  ];
}

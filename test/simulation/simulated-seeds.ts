/** One thread's share of many seeds, for `proof/sync-simulation.ts`: every `step`th from `first` on. */
import { parentPort, workerData } from "node:worker_threads";
import { noCounts, type SimulationCounts } from "./simulation-counts.ts";
import { simulateSync } from "./sync-simulation.ts";

export interface SeedShare {
  readonly first: number;
  readonly step: number;
  readonly seedCount: number;
}

/** What is told now and then, and at the end. */
export interface SeedsDone {
  readonly seedCount: number;
  /** What has failed since the last one, in words. */
  readonly failures: readonly string[];
  /** Of all seeds so far. */
  readonly counts: SimulationCounts;
}

const tellEvery = 500;

const { first, step, seedCount } = workerData as SeedShare;
const counts = noCounts();
let failures: string[] = [];
let done = 0;

function tell(): void {
  parentPort!.postMessage({ seedCount: done, failures, counts } satisfies SeedsDone);
  failures = [];
}

for (let seed = first; seed < seedCount; seed += step) {
  await simulateSync(seed, { counts }).catch((error: Error) => failures.push(error.message));
  if (++done % tellEvery === 0) tell();
}
tell();

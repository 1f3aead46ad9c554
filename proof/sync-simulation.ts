/**
 * 100,000 lives of small fleets: control planes and nodes with their real code, joined by a network that breaks
 * (test/simulation/sync-simulation.ts). In each, what nodes serve was published, only grows within an epoch, is acked
 * only when it is served, and in the end is the newest. A thread for each core takes its share of them.
 */
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SeedShare, SeedsDone } from "../test/simulation/simulated-seeds.ts";
import { noCounts, type SimulationCounts } from "../test/simulation/simulation-counts.ts";
import type { Figure } from "./prove.ts";

const seedCount = 100_000;
const progressEvery = 5_000;
/** Failures that are told in full. */
const toldMaxCount = 10;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const step = Math.min(availableParallelism(), 8);
  const shares: SeedsDone[] = [];
  let failedCount = 0;
  let told = 0;
  const take = (thread: number, done: SeedsDone) => {
    shares[thread] = done;
    for (const failure of done.failures) if (++failedCount <= toldMaxCount) progress(failure);
    const count = shares.reduce((sum, share) => sum + (share?.seedCount ?? 0), 0);
    if (count < told + progressEvery && count < seedCount) return;
    told = count;
    progress(`${count} seeds, ${failedCount} failed`);
  };
  await Promise.all(Array.from({ length: step }, (_, first) => runShare({ first, step, seedCount }, take)));
  return [
    { name: "seeds that failed", value: failedCount, unit: "seeds", atMost: 0 },
    { name: "seeds", value: shares.reduce((sum, share) => sum + share.seedCount, 0), unit: "seeds", atMost: null },
    ...Object.entries(sumOf(shares)).map(([name, value]) => ({ name, value, unit: "times", atMost: null })),
  ];
}

/** Errors: rejects when the thread ends in any way but at its last seed. */
async function runShare(share: SeedShare, take: (thread: number, done: SeedsDone) => void): Promise<void> {
  const worker = new Worker(new URL("../test/simulation/simulated-seeds.ts", import.meta.url), { workerData: share });
  worker.on("message", (done: SeedsDone) => take(share.first, done));
  const [exitCode] = (await once(worker, "exit")) as [number];
  if (exitCode !== 0) throw new Error(`the thread from seed ${share.first} ended with ${exitCode}`);
}

function sumOf(shares: readonly SeedsDone[]): SimulationCounts {
  const sum = noCounts();
  for (const { counts } of shares) {
    for (const name of Object.keys(sum) as (keyof SimulationCounts)[]) sum[name] += counts[name];
  }
  return sum;
}

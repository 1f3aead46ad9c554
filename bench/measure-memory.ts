import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ours, type Routing } from "./contestant.ts";
import { startPlanes } from "./penstock-subject.ts";
import { proportionalMb } from "./process-tree.ts";
import type { WorkloadResult } from "./report.ts";

export interface MemoryResult extends Pick<WorkloadResult, "commit" | "date" | "machine" | "node"> {
  readonly figures: readonly { readonly what: string; readonly mb: number; readonly maxMb: number }[];
}

const workerCount = 2;
/**
 * What applying took is given back when nothing has changed for so long: the node collects a second after the last
 * snapshot, and V8 keeps free pages for 8 s in case that it needs them again. How long the node takes to get there is up
 * to the machine.
 */
const settledSeconds = 15;
const settledWithinMb = 2;
const settleMaxSeconds = 120;

/** What a data plane holds while nothing happens: PSS, which counts shared pages once. */
export async function measureMemory(): Promise<MemoryResult["figures"]> {
  const smallMb = await idleMb({ routeCount: 1, upstreamCount: 1 });
  const largeMb = await idleMb({ routeCount: 10_000, upstreamCount: 1_000 });
  return [
    { what: `an idle data plane with ${workerCount} workers`, mb: Math.round(smallMb), maxMb: 130 },
    {
      what: "10,000 routes and 1,000 upstreams, more per worker",
      mb: Math.round((largeMb - smallMb) / workerCount),
      maxMb: 60,
    },
  ];
}

async function idleMb(routing: Routing): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-bench-"));
  const planes = await startPlanes({
    contestant: ours("penstock", routing),
    certificate: null,
    // Nothing is sent there.
    targetPorts: [9, 10],
    targetWeights: [1, 1],
    folder,
    cores: { proxy: null, load: null },
    workerCount,
  });
  try {
    return await settledMb(planes.dataPlane.pid);
  } finally {
    await planes.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function settledMb(pid: number): Promise<number> {
  const samples: number[] = [];
  while (samples.length < settleMaxSeconds) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    samples.push(proportionalMb(pid));
    const last = samples.slice(-settledSeconds);
    if (last.length === settledSeconds && Math.max(...last) - Math.min(...last) <= settledWithinMb) return last.at(-1)!;
  }
  throw new Error(`the data plane's memory still changes after ${settleMaxSeconds} s`);
}

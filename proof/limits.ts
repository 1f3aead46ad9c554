/**
 * Four threads make ten million admissions to a pool and an endpoint with limits, by the table that workers use,
 * and others are killed in the midst of theirs. Never may more be inside than the limits say, and at
 * the end nothing is.
 */
import { openAdmittingThreads } from "../test/support/admitting-threads.ts";
import type { Figure } from "./prove.ts";

const threadCount = 4;
const roundCount = 20;
const perRound = 125_000;
const poolMax = 7;
const endpointMax = 5;
const killCount = 20;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const { run, most, close, table, poolRow, row } = await openAdmittingThreads({ poolMax, endpointMax, threadCount });
  let admitted = 0;
  let exceeded = 0;
  const startedAtMs = performance.now();
  try {
    for (let round = 1; round <= roundCount; round++) {
      const done = await run(perRound);
      admitted += done.admitted;
      exceeded += done.exceeded;
      if (round % 5 === 0) progress(`${admitted} admitted, ${done.refused} refused in the last round`);
    }
    const perAdmissionUs = ((performance.now() - startedAtMs) * 1_000) / admitted;
    const left = table.admissions.admittedToPool(poolRow) + table.admissions.admittedToEndpoint(row);
    return [
      { name: "admissions over 4 threads", value: admitted, unit: "admissions", atMost: null },
      { name: "admissions that exceeded a limit", value: exceeded, unit: "admissions", atMost: 0 },
      { name: `most at once in a pool that takes ${poolMax}`, value: most().pool, unit: "requests", atMost: poolMax },
      {
        name: `most at once at an endpoint that takes ${endpointMax}`,
        value: most().endpoint,
        unit: "attempts",
        atMost: endpointMax,
      },
      { name: "still admitted at the end", value: left, unit: "admissions", atMost: 0 },
      {
        name: "time for an admission to both and its end, with all threads at one pool",
        value: Math.round(perAdmissionUs * 100) / 100,
        unit: "us",
        atMost: null,
      },
      await killed(progress),
    ];
  } finally {
    await close();
  }
}

/** What threads that were killed in the midst of admissions have left behind. */
async function killed(progress: (line: string) => void): Promise<Figure> {
  const { threads, run, holds, restart, close, table, poolRow, row } = await openAdmittingThreads({
    ...{ poolMax: 40, endpointMax: 30, threadCount: 2 },
  });
  let left = 0;
  try {
    for (let kill = 0; kill < killCount; kill++) {
      void run(1_000_000_000, [1]).catch(() => {});
      await holds(1);
      await threads[1]!.terminate();
      table.clearColumn(1);
      left += table.admissions.admittedToPool(poolRow) + table.admissions.admittedToEndpoint(row);
      await run(1_000, [0]);
      await restart(1);
    }
    progress(`${killCount} threads killed in the midst of admissions`);
  } finally {
    await close();
  }
  return { name: `left behind by ${killCount} threads that were killed`, value: left, unit: "admissions", atMost: 0 };
}

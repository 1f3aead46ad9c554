/** What a pick costs under each algorithm, with 10 and with 1,000 endpoints, over the table that all threads share. */
import { bestNanoseconds } from "../bench/nanoseconds.ts";
import { pickAlgorithms, pickOf } from "../bench/pick-cost.ts";
import type { Figure } from "./prove.ts";

const bounds = [
  { count: 10, atMostNs: 500 },
  { count: 1_000, atMostNs: 2_000 },
];

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const algorithm of pickAlgorithms) {
    for (const { count, atMostNs } of bounds) {
      const ns = Math.round(bestNanoseconds(pickOf(algorithm, count).pick));
      progress(`${algorithm}, ${count} endpoints: ${ns} ns`);
      figures.push({ name: `a pick, ${algorithm}, ${count} endpoints`, value: ns, unit: "ns", atMost: atMostNs });
    }
  }
  for (const { count, atMostNs } of bounds) {
    const ns = Math.round(bestNanoseconds(pickOf("round-robin", count, count / 10).pick));
    progress(`round-robin, ${count} endpoints, a tenth of them out: ${ns} ns`);
    const name = `a pick, round-robin, ${count} endpoints, a tenth of them out`;
    figures.push({ name, value: ns, unit: "ns", atMost: atMostNs });
  }
  return figures;
}

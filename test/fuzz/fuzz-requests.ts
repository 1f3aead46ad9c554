import { rawExchange } from "../conformance/raw-exchange.ts";
import { digestOf } from "../conformance/recording-backend.ts";
import type { StrictMessage } from "../conformance/strict-reader.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Something that keeps every request that passes it. */
export interface Recorder {
  readonly received: readonly StrictMessage[];
  readonly problems: readonly string[];
  clear(): void;
}

export interface RequestFuzz {
  /** Of the proxy, or of the first of two. */
  readonly port: number;
  /** Everything that the requests pass, in order; the last one answers them. */
  readonly recorders: readonly Recorder[];
  readonly operators: readonly Operator[];
  /** Well-formed requests to start from. */
  readonly seeds: readonly string[];
  readonly random: SeededRandom;
  readonly timeoutMs?: number;
  /** Told of each mutant of which requests arrived and were answered. */
  readonly onForwarded?: (bytes: string, answers: number) => void;
}

export interface OperatorCount {
  made: number;
  /** Mutants of which at least one request arrived and was answered. */
  forwarded: number;
}

export interface FuzzReport {
  readonly byOperator: Map<string, OperatorCount>;
  readonly failures: string[];
  mutants: number;
  answers: number;
  hangs: number;
}

export function emptyReport(): FuzzReport {
  return { byOperator: new Map(), failures: [], mutants: 0, answers: 0, hangs: 0 };
}

interface Mutant {
  readonly operator: string;
  readonly bytes: string;
  /** Where the bytes are cut into writes of their own. */
  readonly cuts: readonly number[];
}

const batchSize = 32;

/**
 * Sends mutants, a batch at a time, and holds what arrived against what was answered: they are the same requests,
 * everywhere on the way, and nothing that must never arrive did. Adds to the report.
 */
export async function fuzzRequests(fuzz: RequestFuzz, count: number, report: FuzzReport): Promise<void> {
  for (let made = 0; made < count; made += batchSize) {
    const batch = Array.from({ length: Math.min(batchSize, count - made) }, () => makeMutant(fuzz));
    const failures = await runBatch(fuzz, batch, report);
    if (failures.length > 0) report.failures.push(...(await findCulprits(fuzz, batch, failures)));
  }
}

function makeMutant({ operators, seeds, random }: RequestFuzz): Mutant {
  const operator = random.pick(operators);
  let seed = random.pick(seeds);
  while (operator.appliesTo?.(seed) === false) seed = random.pick(seeds);
  const bytes = operator.mutate(seed, random, seeds);
  // Every fourth arrives in pieces.
  const cutCount = random.below(4) === 0 ? 1 + random.below(4) : 0;
  const cuts = Array.from({ length: cutCount }, () => random.below(bytes.length + 1)).sort((a, b) => a - b);
  return { operator: operator.name, bytes, cuts };
}

async function runBatch(fuzz: RequestFuzz, batch: readonly Mutant[], report: FuzzReport | null): Promise<string[]> {
  for (const recorder of fuzz.recorders) recorder.clear();
  const failures: string[] = [];
  const answered: string[] = [];
  await Promise.all(
    batch.map(async ({ operator, bytes, cuts }) => {
      // FIN follows the bytes: whatever the proxy makes of them, it ends the connection by itself.
      const { text, end } = await rawExchange(fuzz.port, bytes, {
        ends: true,
        cuts,
        timeoutMs: fuzz.timeoutMs ?? 20_000,
      });
      const digests = [...text.matchAll(/^X-Recorded: (.*)\r$/gm)].map((match) => match[1]!);
      answered.push(...digests);
      if (end === "silent") failures.push(`hang after ${operator}`);
      if (report === null) return;
      countMutant(report, operator, digests.length, end === "silent");
      if (digests.length > 0) fuzz.onForwarded?.(bytes, digests.length);
    }),
  );
  for (const [hop, recorder] of fuzz.recorders.entries()) {
    failures.push(...recorder.problems.map((problem) => `hop ${hop + 1}: ${problem}`));
    failures.push(...difference(hop, answered, recorder.received));
  }
  return failures;
}

function countMutant(report: FuzzReport, operator: string, answers: number, hangs: boolean): void {
  const counts = report.byOperator.get(operator) ?? { made: 0, forwarded: 0 };
  report.byOperator.set(operator, counts);
  counts.made++;
  if (answers > 0) counts.forwarded++;
  report.mutants++;
  report.answers += answers;
  if (hangs) report.hangs++;
}

/** Requests that arrived and were not answered, or the other way round. */
function difference(hop: number, answered: readonly string[], received: readonly StrictMessage[]): string[] {
  const balance = new Map<string, number>();
  for (const message of received) {
    const digest = digestOf(message).replaceAll(/[^\x20-\x7e]/g, "?");
    balance.set(digest, (balance.get(digest) ?? 0) + 1);
  }
  for (const digest of answered) balance.set(digest, (balance.get(digest) ?? 0) - 1);
  return [...balance]
    .filter(([, count]) => count !== 0)
    .map(
      ([digest, count]) => `hop ${hop + 1}: ${count > 0 ? "arrived unanswered" : "answered, never arrived"}: ${digest}`,
    );
}

/** Which mutants of a failed batch fail alone as well. */
async function findCulprits(
  fuzz: RequestFuzz,
  batch: readonly Mutant[],
  failures: readonly string[],
): Promise<string[]> {
  const culprits: string[] = [];
  for (const mutant of batch) {
    const alone = await runBatch(fuzz, [mutant], null);
    if (alone.length > 0)
      culprits.push(
        `${mutant.operator}: ${alone.join("; ")}: ${JSON.stringify(mutant.bytes.slice(0, 600))} cut at [${mutant.cuts}]`,
      );
  }
  return culprits.length > 0 ? culprits : failures.map((failure) => `only together: ${failure}`);
}

/** One line per operator, and those that should have been forwarded more often. */
export function operatorTable(
  report: FuzzReport,
  operators: readonly Operator[],
): { lines: string[]; tooFew: string[] } {
  const tooFew: string[] = [];
  const lines = operators.map((operator) => {
    const { made, forwarded } = report.byOperator.get(operator.name) ?? { made: 0, forwarded: 0 };
    const share = made === 0 ? 0 : forwarded / made;
    if (operator.canStayLegal && share < 0.3) tooFew.push(operator.name);
    return `${operator.name}: ${forwarded} of ${made} forwarded (${Math.round(100 * share)} %)`;
  });
  return { lines, tooFew };
}

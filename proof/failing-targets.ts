/**
 * Rows 27 to 30 and 32: one of two targets fails in each of five ways at a third of 9 s of 1,000 requests/s over 16
 * connections, with no field set and with every default of Kong spelled out. No GET may fail, no POST be executed twice,
 * and within a second as much must be answered as in a control run beside it.
 */
import {
  deckUpstream,
  type FailingTargetRun,
  type Fault,
  faults,
  runFailingTarget,
} from "../test/support/failing-target-run.ts";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const requestCount = 9_000;
/** What a rate is measured over. */
const windowMs = 500;
const enoughShare = 0.95;

/** Answers a second over each window, by when it begins. */
function rates({ samples }: FailingTargetRun): { readonly fromMs: number; readonly perSecond: number }[] {
  return samples.flatMap((from) => {
    const to = samples.find(({ atMs }) => atMs >= from.atMs + windowMs);
    if (to === undefined) return [];
    return [{ fromMs: from.atMs, perSecond: ((to.answers - from.answers) * 1_000) / (to.atMs - from.atMs) }];
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** From the fault to the end of the last window that has too little, in seconds; 0 when there is none. */
function recoverySeconds(run: FailingTargetRun, control: number): number {
  const isShort = ({ fromMs, perSecond }: { fromMs: number; perSecond: number }) =>
    fromMs >= run.faultAtMs - windowMs && perSecond < enoughShare * control;
  const lastShort = rates(run).findLast(isShort);
  return lastShort === undefined ? 0 : Math.round(lastShort.fromMs + windowMs - run.faultAtMs) / 1_000;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const planes = await startProofPlanes([], { PENSTOCK_WORKERS: "2" });
  const figures: Figure[] = [];
  const at = { adminUrl: planes.adminUrl, proxyPort: planes.proxyPort };
  const run = async (fault: Fault, method: "GET" | "POST", upstream: Record<string, unknown>) => {
    const done = await runFailingTarget({ ...at, fault, method, requestCount, upstream });
    progress(
      `${fault}, ${method}: ${done.outcome.ok} answered, ${done.outcome.failed} failed ${done.outcome.failures[0] ?? ""}`,
    );
    return done;
  };
  try {
    const control = median(rates(await run("none", "GET", {})).map(({ perSecond }) => perSecond));
    progress(`control: ${Math.round(control)} answers/s`);
    for (const fault of faults) {
      for (const [fields, upstream] of [
        ["no field set", {}],
        ["Kong's defaults spelled out", deckUpstream],
      ] as const) {
        const done = await run(fault, "GET", upstream);
        const name = `${fault}, ${fields}`;
        figures.push(
          { name: `${name}: GETs that failed`, value: done.outcome.failed, unit: "requests", atMost: 0 },
          {
            name: `${name}: until 95 % of the control run`,
            value: recoverySeconds(done, control),
            unit: "s",
            atMost: 1,
          },
        );
      }
      const posts = await run(fault, "POST", {});
      const isPassedOn = fault === "503 answers";
      figures.push(
        { name: `${fault}: POSTs executed twice`, value: posts.executedTwice.length, unit: "requests", atMost: 0 },
        {
          name: `${fault}: POSTs that failed${isPassedOn ? ", with the target's own answer" : ""}`,
          value: posts.outcome.failed,
          unit: "requests",
          atMost: isPassedOn ? null : 16,
        },
      );
    }
    return figures;
  } finally {
    await planes.stop();
  }
}

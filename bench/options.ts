import { parseArgs } from "node:util";
import { peerPrograms } from "./contestant.ts";
import { commandVariable } from "./peers.ts";
import { workloads } from "./workload.ts";

/** Beside the workloads: what an idle node holds in memory. */
export const memoryName = "memory";

export interface BenchOptions {
  /** Of workloads, and `memoryName`. */
  readonly names: readonly string[];
  readonly roundCount: number;
  /** null = each workload's own. */
  readonly requestCount: number | null;
  /** Contestants; null = all. */
  readonly contestantNames: readonly string[] | null;
  readonly isWritten: boolean;
}

const allNames = [...workloads.map(({ name }) => name), memoryName];

export const usage = `Measures the CPU time per proxied request of penstock and of every peer on this machine,
interleaved, and writes the ratios to bench/results/: a file per workload, and README.md with the bars.

Usage: node bench/bench.ts [options]

  --only NAMES       workloads, comma-separated (default: all):
${workloads.map(({ name, title }) => `                       ${name.padEnd(12)} ${title}`).join("\n")}
                       ${memoryName.padEnd(12)} what an idle node holds in memory
  --rounds N         times that every contestant is measured (default: 3)
  --requests N       requests of each measurement (default: each workload's own)
  --subjects NAMES   contestants, comma-separated; nothing is written then (default: all)
  --no-write         print only, leave bench/results/ as it is
  --help             this text

Peers are looked for on the PATH. Other programs can be named in the environment:
${peerPrograms.map((name) => `  ${commandVariable(name)}`).join("\n")}

For figures that mean something the machine should do nothing else. With two cores or more and taskset, the proxy
has one core to itself, and the load and the targets share another.`;

/** The options, "help", or what is wrong with them. */
export function parseOptions(args: readonly string[]): BenchOptions | "help" | { readonly problem: string } {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        only: { type: "string" },
        rounds: { type: "string", default: "3" },
        requests: { type: "string" },
        subjects: { type: "string" },
        write: { type: "boolean", default: true },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return { problem: (error as Error).message };
  }
  if (values["help"]) return "help";
  const wanted = values["only"] === undefined ? allNames : String(values["only"]).split(",");
  const names = wanted.map((name) => allNames.find((known) => known.toLowerCase() === name.toLowerCase()));
  const unknownAt = names.indexOf(undefined);
  if (unknownAt >= 0) return { problem: `--only: no workload ${wanted[unknownAt]}; there is ${allNames.join(", ")}` };
  const roundCount = Number(values["rounds"]);
  if (!Number.isInteger(roundCount) || roundCount < 1) return { problem: "--rounds must be a whole number from 1 on" };
  const requestCount = values["requests"] === undefined ? null : Number(values["requests"]);
  // Below that the kernel's clock ticks of 10 ms are too coarse for what is measured.
  if (requestCount !== null && (!Number.isInteger(requestCount) || requestCount < 1000)) {
    return { problem: "--requests must be at least 1000" };
  }
  const contestantNames = values["subjects"] === undefined ? null : String(values["subjects"]).split(",");
  const isWritten = values["write"] === true && contestantNames === null;
  return { names: names as string[], roundCount, requestCount, contestantNames, isWritten };
}

import { parseArgs } from "node:util";
import { workloads } from "./workload.ts";

export interface BenchOptions {
  readonly workloadNames: readonly string[];
  readonly roundCount: number;
  readonly requestCount: number;
  /** null = ours and every peer. */
  readonly subjectNames: readonly string[] | null;
  readonly isWritten: boolean;
}

export const usage = `Measures the CPU time per proxied request of penstock and of every peer on this machine
(nginx, haproxy, envoy, caddy), interleaved, and writes the ratios against nginx to bench/results/.

Usage: node bench/bench.ts [options]

  --only NAMES       workloads, comma-separated: ${workloads.map(({ name }) => name).join(", ")} (default: all)
  --rounds N         times that every subject is measured (default: 3)
  --requests N       requests of each measurement, after 20000 or a quarter of it as warm-up (default: 60000)
  --subjects NAMES   subjects, comma-separated (default: all)
  --no-write         print only, leave bench/results/ as it is
  --help             this text

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
        requests: { type: "string", default: "60000" },
        subjects: { type: "string" },
        write: { type: "boolean", default: true },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return { problem: (error as Error).message };
  }
  if (values["help"]) return "help";
  const known = workloads.map(({ name }) => name);
  const workloadNames = values["only"] === undefined ? known : String(values["only"]).toUpperCase().split(",");
  const unknown = workloadNames.find((name) => !known.includes(name));
  if (unknown !== undefined) return { problem: `--only: no workload ${unknown}; there is ${known.join(", ")}` };
  const roundCount = Number(values["rounds"]);
  if (!Number.isInteger(roundCount) || roundCount < 1) return { problem: "--rounds must be a whole number from 1 on" };
  const requestCount = Number(values["requests"]);
  // Below that the kernel's clock ticks of 10 ms are too coarse for what is measured.
  if (!Number.isInteger(requestCount) || requestCount < 1000) return { problem: "--requests must be at least 1000" };
  const subjectNames = values["subjects"] === undefined ? null : String(values["subjects"]).split(",");
  return { workloadNames, roundCount, requestCount, subjectNames, isWritten: values["write"] === true };
}

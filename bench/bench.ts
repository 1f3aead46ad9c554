/** `npm run bench`: what a proxied request costs, ours beside every peer found on the machine. See --help. */
import buildOnce from "../test/support/build-once.ts";
import { measureMemory } from "./measure-memory.ts";
import { type BenchOptions, memoryName, parseOptions, usage } from "./options.ts";
import { checkValidity, figureRows, figuresOf, type WorkloadResult } from "./report.ts";
import { provenance, writeMemory, writeWorkload } from "./result-files.ts";
import { runWorkload } from "./run-workload.ts";
import { type Workload, workloads } from "./workload.ts";

async function benchWorkload(workload: Workload, options: BenchOptions): Promise<boolean> {
  const { subjects, notMeasured } = await runWorkload(workload, options);
  const requestCount = options.requestCount ?? workload.requestCount;
  const figures = figuresOf(subjects);
  const validity = checkValidity(subjects, figures, workload, requestCount);
  const isValid = validity.every(({ holds }) => holds);
  const result: WorkloadResult = {
    workload: workload.name,
    title: workload.title,
    ...provenance(),
    requestsPerMeasurement: requestCount,
    connections: workload.connectionCount,
    isValid,
    validity,
    subjects: figures,
    notMeasured,
  };
  console.log(`\n${workload.name}: ${workload.title}\n\n${aligned(figureRows(figures))}\n`);
  for (const { rule, holds, found } of validity) if (!holds) console.log(`BROKEN  ${rule}: ${found}`);
  console.log(`${validity.filter(({ holds }) => holds).length} of ${validity.length} rules hold`);
  if (!isValid) console.log("This run is not valid: its figures are no figures.");
  if (options.isWritten) writeWorkload(result);
  return isValid;
}

async function benchMemory(options: BenchOptions): Promise<boolean> {
  const figures = await measureMemory();
  console.log(aligned([["figure", "PSS MB", "bar"], ...figures.map((one) => [one.what, `${one.mb}`, `${one.maxMb}`])]));
  if (options.isWritten) writeMemory({ ...provenance(), figures });
  return true;
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(usage);
    return 0;
  }
  if ("problem" in options) {
    console.error(`bench: ${options.problem} (--help lists the options)`);
    return 2;
  }
  if (process.platform !== "linux") {
    console.error("bench: CPU times are read from /proc: Linux only");
    return 2;
  }
  buildOnce();
  let isValid = true;
  for (const [i, name] of options.names.entries()) {
    const startMs = performance.now();
    console.log(`\n[${i + 1}/${options.names.length}] ${name}`);
    try {
      const workload = workloads.find((one) => one.name === name);
      const isThisValid = name === memoryName ? await benchMemory(options) : await benchWorkload(workload!, options);
      isValid = isThisValid && isValid;
    } catch (error) {
      // Half an hour of other workloads is worth going on for; --only repeats this one.
      console.error(`bench: ${name} failed: ${(error as Error).stack}`);
      isValid = false;
    }
    console.log(`${name} took ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  }
  return isValid ? 0 : 1;
}

// An interrupt ends the children through the "exit" handlers.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
// Also what a failed start left running ends here.
process.exit(await main());

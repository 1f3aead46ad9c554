/** `npm run bench`: what a proxied request costs, ours beside every peer found on the machine. See --help. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { availableParallelism, cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import buildOnce from "../test/support/build-once.ts";
import { type Measurement, Rig } from "./measure.ts";
import { type BenchOptions, parseOptions, usage } from "./options.ts";
import { peers } from "./peers.ts";
import { penstockSubject } from "./penstock-subject.ts";
import { checkValidity, figuresOf, type MeasuredSubject, tableOf } from "./report.ts";
import { type Cores, firstLineOf, type RunningSubject, type Subject } from "./subject.ts";
import { type Workload, workloads } from "./workload.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Contestant {
  readonly subject: Subject;
  readonly version: string;
  readonly running: RunningSubject;
  readonly measurements: Measurement[];
}

/** The proxy on the first core, everything else on the second; not pinned where that is not possible. */
function chooseCores(): Cores {
  if (availableParallelism() >= 2 && firstLineOf("taskset", ["--version"]) !== null) return { proxy: 0, load: 1 };
  console.log("not pinned: needs two cores and taskset; the figures will be noisy");
  return { proxy: null, load: null };
}

/** The subjects that are to be measured and can be. */
function chooseSubjects(options: BenchOptions): { subject: Subject; version: string }[] {
  const chosen: { subject: Subject; version: string }[] = [];
  for (const subject of [penstockSubject, ...peers]) {
    if (options.subjectNames !== null && !options.subjectNames.includes(subject.name)) continue;
    const version = subject.version();
    if (version === null) console.log(`skipped: ${subject.name} is not installed`);
    else chosen.push({ subject, version });
  }
  return chosen;
}

/** Measures every subject once a round, in reversed order every other round, so that drift hits all alike. */
async function runRounds(contestants: readonly Contestant[], rig: Rig, workload: Workload, options: BenchOptions) {
  for (let round = 0; round < options.roundCount; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const measurement = await rig.measure(contestant.running, workload, options.requestCount);
      contestant.measurements.push(measurement);
      const us = measurement.cpuUsPerRequest.toFixed(1);
      console.log(`round ${round + 1}/${options.roundCount}  ${contestant.subject.name.padEnd(9)} ${us} us/request`);
    }
  }
}

async function measureWorkload(workload: Workload, options: BenchOptions): Promise<MeasuredSubject[]> {
  const cores = chooseCores();
  const folder = mkdtempSync(join(tmpdir(), "penstock-bench-"));
  const rig = await Rig.start(cores.load);
  const contestants: Contestant[] = [];
  try {
    for (const { subject, version } of chooseSubjects(options)) {
      const own = join(folder, subject.name);
      mkdirSync(own);
      const { targetPorts } = rig;
      const { targetWeights } = workload;
      const setup = { targetPorts, targetWeights, listenPort: await freePort(), folder: own, cores };
      contestants.push({ subject, version, running: await subject.start(setup), measurements: [] });
    }
    await runRounds(contestants, rig, workload, options);
  } finally {
    for (const { running } of contestants) await running.stop();
    rig.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return contestants.map(({ subject, version, measurements }) => ({ name: subject.name, version, measurements }));
}

function report(workload: Workload, subjects: readonly MeasuredSubject[], options: BenchOptions): boolean {
  const figures = figuresOf(subjects);
  const validity = checkValidity(subjects, figures, workload, options.requestCount);
  console.log(`\n${workload.name}: ${workload.title}\n\n${tableOf(figures)}\n`);
  for (const { rule, holds, found } of validity) console.log(`${holds ? "holds " : "BROKEN"}  ${rule}: ${found}`);
  const isValid = validity.every(({ holds }) => holds);
  if (!isValid) console.log("\nThis run is not valid: its figures are no figures.");
  if (!options.isWritten) return isValid;
  const file = join(root, "bench", "results", `${workload.name.toLowerCase()}.json`);
  const measured = subjects.map(({ name }) => name);
  const result = {
    workload: workload.name,
    title: workload.title,
    commit: commitOf(),
    date: new Date().toISOString(),
    machine: { cpu: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), kernel: release() },
    node: process.version,
    rounds: options.roundCount,
    requestsPerMeasurement: options.requestCount,
    connections: workload.connectionCount,
    isValid,
    validity,
    subjects: figures,
    notMeasured: peers.map(({ name }) => name).filter((name) => !measured.includes(name)),
  };
  mkdirSync(join(root, "bench", "results"), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nwritten: bench/results/${workload.name.toLowerCase()}.json`);
  return isValid;
}

/** The commit that was measured; "+changes" when files differ from it. */
function commitOf(): string {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const changes = git("status", "--porcelain", "--", "data-plane", "proto", "bin");
  return git("rev-parse", "--short", "HEAD") + (changes === "" ? "" : "+changes");
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
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
  for (const workload of workloads.filter(({ name }) => options.workloadNames.includes(name))) {
    isValid = report(workload, await measureWorkload(workload, options), options) && isValid;
  }
  return isValid ? 0 : 1;
}

// An interrupt ends the children through the "exit" handlers.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();

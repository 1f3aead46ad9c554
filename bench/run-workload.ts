import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchCertificate, benchKeyGroup, benchServerName, makeBenchCertificate } from "./bench-certificate.ts";
import { firstLineOf } from "./bench-process.ts";
import type { Contestant } from "./contestant.ts";
import type { LoadOrder } from "./load-order.ts";
import { type Measurement, Rig } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import { peers } from "./peers.ts";
import { penstockSubject } from "./penstock-subject.ts";
import type { MeasuredSubject, WorkloadResult } from "./report.ts";
import { requestTexts } from "./request-texts.ts";
import type { Cores, RunningSubject } from "./subject.ts";
import type { Workload } from "./workload.ts";

/**
 * A proxy is judged by what it costs for days, not by its first two seconds: by `perf`, V8's compiler threads of a plane
 * are busy for the first 200,000 requests of W1 and rest from then on. The same for every contestant.
 */
const firstWarmUpCount = 200_000;
/** A closed connection keeps its port for a minute, and a machine has 28,000 of them. */
const firstConnectionCount = 12_000;

interface Entrant {
  readonly contestant: Contestant;
  readonly version: string;
  readonly running: RunningSubject;
  readonly order: LoadOrder;
  readonly measurements: Measurement[];
}

export interface WorkloadRun {
  readonly subjects: readonly MeasuredSubject[];
  readonly notMeasured: WorkloadResult["notMeasured"];
}

/** Measures every contestant that can be measured here. */
export async function runWorkload(workload: Workload, options: BenchOptions): Promise<WorkloadRun> {
  const cores = chooseCores();
  const folder = mkdtempSync(join(tmpdir(), "penstock-bench-"));
  const certificate = workload.isTls ? await makeBenchCertificate(folder) : null;
  const rig = await Rig.start(cores.load);
  const entrants: Entrant[] = [];
  const notMeasured: { name: string; reason: string }[] = [];
  try {
    for (const contestant of chosen(workload, options)) {
      const entrant = await startEntrant(contestant, { workload, options, cores, folder, rig, certificate });
      if (typeof entrant !== "string") entrants.push(entrant);
      else {
        console.log(`skipped: ${contestant.name}: ${entrant}`);
        notMeasured.push({ name: contestant.name, reason: entrant });
      }
    }
    await runRounds(entrants, rig, options);
  } finally {
    for (const { running } of entrants) await running.stop();
    rig.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const subjects = entrants.map(({ contestant, version, measurements }) => {
    return { name: contestant.name, version, measurements };
  });
  return { subjects, notMeasured };
}

function chosen(workload: Workload, { contestantNames }: BenchOptions): readonly Contestant[] {
  return workload.contestants.filter(({ name }) => contestantNames === null || contestantNames.includes(name));
}

/** The proxy on the first core, everything else on the second; not pinned where that is not possible. */
function chooseCores(): Cores {
  if (availableParallelism() >= 2 && firstLineOf("taskset", ["--version"]) !== null) return { proxy: 0, load: 1 };
  console.log("not pinned: needs two cores and taskset; the figures will be noisy");
  return { proxy: null, load: null };
}

interface Stage {
  readonly workload: Workload;
  readonly options: BenchOptions;
  readonly cores: Cores;
  readonly folder: string;
  readonly rig: Rig;
  readonly certificate: BenchCertificate | null;
}

/** @returns why it cannot be measured, where it cannot */
async function startEntrant(contestant: Contestant, stage: Stage): Promise<Entrant | string> {
  const { workload, options, cores, rig, certificate } = stage;
  const subject = [penstockSubject, ...peers].find(({ name }) => name === contestant.program)!;
  const version = subject.version();
  if (version === null) return "not installed";
  const folder = join(stage.folder, contestant.name);
  mkdirSync(folder);
  const { targetWeights } = workload;
  const { targetPorts } = rig;
  const setup = { contestant, certificate, targetPorts, targetWeights, listenPort: await freePort(), folder, cores };
  const running = await subject.start(setup);
  const order: LoadOrder = {
    port: running.port,
    requests: requestTexts(workload, contestant),
    answerBytes: workload.answerBytes,
    connectionCount: workload.connectionCount,
    requestCount: options.requestCount ?? workload.requestCount,
    maxMs: null,
    shape: workload.shape,
    tls: certificate && { serverName: benchServerName, caPem: certificate.certPem, group: benchKeyGroup },
  };
  return { contestant, version, running, order, measurements: [] };
}

/** Measures every entrant once a round, in reversed order every other round, so that drift hits all alike. */
async function runRounds(entrants: readonly Entrant[], rig: Rig, { roundCount }: BenchOptions): Promise<void> {
  for (let round = 0; round < roundCount; round++) {
    for (const { contestant, running, order, measurements } of round % 2 === 0 ? entrants : entrants.toReversed()) {
      const isKept = order.shape.kind !== "new-connections";
      const firstCount = Math.min(isKept ? firstWarmUpCount : firstConnectionCount, 5 * order.requestCount);
      const warmUpCount = round === 0 ? firstCount : Math.ceil(order.requestCount / 4);
      const measurement = await rig.measure(running, order, warmUpCount);
      measurements.push(measurement);
      const us = measurement.cpuUsPerRequest.toFixed(1);
      console.log(`round ${round + 1}/${roundCount}  ${contestant.name.padEnd(18)} ${us} us/request`);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

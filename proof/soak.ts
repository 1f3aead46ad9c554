/**
 * Row 23: ten minutes at 80 % of the peak load with 1,000 changes of the configuration a minute: a target added and
 * taken away, a route's paths changed. A second data plane beside it has the same load and no changes, so that whatever
 * the machine does meanwhile hits both.
 *
 * It goes in rounds of half a minute. A short burst, as fast as answers come, says what the peak is just now; with
 * changes, for else there would be no room for them where few cores carry load, targets and planes. After each round,
 * while nothing is sent, memory is read when every thread of the data plane has collected its garbage, asked for
 * through the inspector. PENSTOCK_SOAK_MINUTES makes it shorter or longer.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { median } from "../bench/statistics.ts";
import type { FromTargets, ToTargets } from "../bench/targets.ts";
import { adminOk } from "../test/support/admin-client.ts";
import { EndlessWrites, type WriteOrder } from "../test/support/endless-writes.ts";
import { GarbageCollector, inspectable } from "../test/support/garbage-collector.ts";
import { LastingLoad, type LoadCounts } from "../test/support/lasting-load.ts";
import { LatencyHistogram } from "../test/support/latency-histogram.ts";
import { type ProofPlanes, residentKib, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const minutes = Number(process.env["PENSTOCK_SOAK_MINUTES"] ?? 10);
const swapsPerMinute = 1_000;
const loadShare = 0.8;
const burstSeconds = 3;
const stretchSeconds = 27;
const connectionCount = 32;
const answerBytes = 100;
const warmUpSeconds = 10;
/** Beside what is asked for, so that a change costs what it costs a node in use. */
const serviceCount = 4;
const routesPerService = 5;
/** For the threads that give memory back to the system after a collection. */
const settleMs = 1_000;

interface Targets {
  readonly process: ChildProcess;
  readonly ports: readonly [number, number];
}

async function startTargets(): Promise<Targets> {
  const child = fork(fileURLToPath(new URL("../bench/targets.ts", import.meta.url)));
  const [listening] = (await once(child, "message")) as [FromTargets];
  if (listening.type !== "listening") throw new Error("the targets did not say their ports");
  child.send({ type: "answer", bytes: answerBytes } satisfies ToTargets);
  return { process: child, ports: listening.ports };
}

async function configure({ adminUrl }: ProofPlanes, ports: readonly number[]): Promise<void> {
  for (let service = 0; service < serviceCount; service++) {
    const name = `soak-${service}`;
    await adminOk(adminUrl, "POST", "/upstreams?wait=none", { name });
    for (const port of ports)
      await adminOk(adminUrl, "POST", `/upstreams/${name}/targets?wait=none`, { target: `127.0.0.1:${port}` });
    await adminOk(adminUrl, "POST", "/services?wait=none", { name, host: name });
    for (let route = 0; route < routesPerService; route++)
      await adminOk(adminUrl, "POST", `/services/${name}/routes?wait=none`, { paths: [`/${name}/${route}`] });
  }
  await adminOk(adminUrl, "PATCH", "/services/proof-service?wait=applied&timeout=30s", { retries: 5 });
}

/** The changes, in turn: the second target comes, the route changes, the target goes, the route changes. */
function change(number: number, secondPort: number): WriteOrder {
  const target = `127.0.0.1:${secondPort}`;
  if (number % 4 === 0) return { method: "POST", path: "/upstreams/proof/targets?wait=none", body: { target } };
  if (number % 4 === 2) return { method: "DELETE", path: `/upstreams/proof/targets/${target}?wait=none` };
  return { method: "PATCH", path: "/routes/proof-route?wait=none", body: { paths: ["/p", `/change-${number}`] } };
}

/** What the stretches of one kind came to. */
class Tally {
  readonly p99sMs: number[] = [];
  readonly #latencies = new LatencyHistogram();
  completed = 0;
  failed = 0;
  closed = 0;
  seconds = 0;

  add(counts: LoadCounts): void {
    const latencies = new LatencyHistogram();
    latencies.merge(counts.latencyCounts);
    this.p99sMs.push(latencies.quantile(0.99));
    this.#latencies.merge(counts.latencyCounts);
    this.completed += counts.completed;
    this.failed += counts.failed;
    this.closed += counts.closed;
    this.seconds += counts.elapsedMs / 1_000;
  }

  /** Over all. */
  get p99Ms(): number {
    return this.#latencies.quantile(0.99);
  }

  get text(): string {
    const perSecond = Math.round(this.completed / this.seconds);
    return `${perSecond}/s, p99 ${median(this.p99sMs).toFixed(1)} ms in the median round and ${this.p99Ms.toFixed(1)} ms over all`;
  }
}

/** A data plane with a load of its own. */
interface Side {
  readonly planes: ProofPlanes;
  readonly load: LastingLoad;
  readonly garbage: GarbageCollector;
  readonly bursts: Tally;
  readonly stretches: Tally;
  /** MiB, after each round. */
  readonly residentMib: number[];
}

async function openSide(ports: readonly number[]): Promise<Side> {
  const planes = await startProofPlanes([ports[0]!], inspectable);
  await configure(planes, ports);
  const request = "GET /p HTTP/1.1\r\nHost: soak.example.test\r\nUser-Agent: penstock-soak\r\nAccept: */*\r\n\r\n";
  const load = await LastingLoad.open({ port: planes.proxyPort, connectionCount, request, answerBytes });
  const garbage = await GarbageCollector.open(planes.dataPlane);
  return { planes, load, garbage, bursts: new Tally(), stretches: new Tally(), residentMib: [] };
}

async function closeSide({ load, garbage, planes }: Side): Promise<void> {
  garbage.close();
  load.close();
  await planes.stop();
}

async function readMemory({ planes, garbage, residentMib }: Side): Promise<void> {
  const threadCount = await garbage.collect();
  if (threadCount < 2) throw new Error("no worker thread could be told to collect its garbage");
  await sleep(settleMs);
  residentMib.push(residentKib(planes.dataPlanePid) / 1024);
}

async function soak(changed: Side, control: Side, writes: EndlessWrites, progress: (line: string) => void) {
  const sides = [changed, control];
  const roundCount = Math.ceil((minutes * 60) / (burstSeconds + stretchSeconds));
  for (let round = 1; round <= roundCount; round++) {
    writes.go();
    const bursts = await Promise.all(sides.map(({ load }) => load.run(burstSeconds, null)));
    for (const [i, burst] of bursts.entries()) sides[i]!.bursts.add(burst);
    const peak = mean(bursts.map(({ completed, elapsedMs }) => (completed * 1_000) / elapsedMs));
    const stretches = await Promise.all(sides.map(({ load }) => load.run(stretchSeconds, loadShare * peak)));
    for (const [i, stretch] of stretches.entries()) sides[i]!.stretches.add(stretch);
    await writes.rest();
    await Promise.all(sides.map(readMemory));
    const told = ({ stretches: { p99sMs }, residentMib }: Side) =>
      `p99 ${p99sMs.at(-1)!.toFixed(1)} ms, ${Math.round(residentMib.at(-1)!)} MiB`;
    progress(
      `round ${round} of ${roundCount}: ${Math.round(loadShare * peak)} requests/s each; ` +
        `with changes ${told(changed)}; without ${told(control)}; ${writes.written} changes so far`,
    );
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The last write is served, and the one before it no longer. @returns how many of the two are otherwise */
async function changesNotServed({ proxyPort, adminUrl }: ProofPlanes): Promise<number> {
  for (const path of ["/former", "/latter"])
    await adminOk(adminUrl, "PATCH", "/routes/proof-route?wait=applied&timeout=30s", { paths: ["/p", path] });
  const statuses = await Promise.all(
    ["/latter", "/former"].map(async (path) => (await fetch(`http://127.0.0.1:${proxyPort}${path}`)).status),
  );
  return Number(statuses[0] !== 200) + Number(statuses[1] !== 404);
}

function figuresOf(changed: Side, control: Side): Figure[] {
  const { residentMib, stretches } = changed;
  const share = (from: number, to: number) =>
    mean(residentMib.slice(Math.floor(residentMib.length * from), Math.ceil(residentMib.length * to)));
  // Of ten minutes: from the second to the fourth, and the last two.
  const [early, late] = [share(0.2, 0.4), share(0.8, 1)];
  const rounded = (value: number, digits: number) => Number(value.toFixed(digits));
  const ratios = stretches.p99sMs.map((p99Ms, i) => p99Ms / control.stretches.p99sMs[i]!);
  const all = [changed, control].flatMap((side) => [side.bursts, side.stretches]);
  const sum = (of: (tally: Tally) => number) => all.reduce((total, tally) => total + of(tally), 0);
  return [
    {
      name: "p99 against the one without changes, median round",
      value: rounded(median(ratios), 2),
      unit: "x",
      atMost: 2,
    },
    {
      name: "p99 against the one without changes, over all",
      value: rounded(stretches.p99Ms / control.stretches.p99Ms, 2),
      unit: "x",
      atMost: 2,
    },
    { name: "memory grown, of minutes 2 to 4", value: rounded((late / early - 1) * 100, 1), unit: "%", atMost: 10 },
    { name: "memory grown since minutes 2 to 4", value: rounded(late - early, 1), unit: "MiB", atMost: 20 },
    { name: "failed requests", value: sum(({ failed }) => failed), unit: "requests", atMost: 0 },
    { name: "connections of clients closed", value: sum(({ closed }) => closed), unit: "connections", atMost: 0 },
  ];
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const targets = await startTargets();
  const sides: Side[] = [];
  try {
    for (let side = 0; side < 2; side++) sides.push(await openSide(targets.ports));
    const [changed, control] = sides as [Side, Side];
    await Promise.all(sides.map(({ load }) => load.run(warmUpSeconds, null)));
    const { planes } = changed;
    const writes = new EndlessWrites(planes.adminUrl, swapsPerMinute, (number) => change(number, targets.ports[1]));
    const before = (await planes.counters())["snapshots_applied"]!;
    await soak(changed, control, writes, progress);
    const counters = await planes.counters();
    const { snapshots_applied: after, snapshots_refused: refused } = counters;
    progress(`with changes: ${changed.stretches.text}; ${writes.written} in ${after! - before} publications`);
    progress(`without changes: ${control.stretches.text}`);
    const wanted = Math.floor((swapsPerMinute * (changed.bursts.seconds + changed.stretches.seconds)) / 60);
    return [
      ...figuresOf(changed, control),
      {
        name: "workers lost or replaced",
        value: counters["workers_lost"]! + counters["workers_replaced"]!,
        unit: "workers",
        atMost: 0,
      },
      { name: "changes refused, by either plane", value: writes.failed + refused!, unit: "changes", atMost: 0 },
      {
        name: `changes short of ${swapsPerMinute} a minute`,
        value: Math.max(0, wanted - writes.written),
        unit: "changes",
        atMost: Math.floor(wanted * 0.01),
      },
      {
        name: "the last changes, not served as written",
        value: await changesNotServed(planes),
        unit: "changes",
        atMost: 0,
      },
    ];
  } catch (cause) {
    const said = sides
      .flatMap(({ planes }) => planes.dataPlane.lines)
      .filter((line) => !line.includes('"level":"info"'));
    throw new Error(`what the data planes said:\n${said.slice(-20).join("\n")}`, { cause });
  } finally {
    for (const side of sides) await closeSide(side);
    targets.process.disconnect();
  }
}

/**
 * A million mutated requests and answers through real data planes: alone, one behind the other, and in front of a
 * target that lies. No process ends, no worker is lost, nothing hangs, no socket leaks, and every hop sees the same
 * requests. PENSTOCK_FUZZ_COUNT, PENSTOCK_FUZZ_MINUTES and PENSTOCK_FUZZ_SEED change how many, for how long at
 * most, and from which seed.
 */
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { RecordingBackend } from "../test/conformance/recording-backend.ts";
import { ScriptedBackend } from "../test/conformance/scripted-backend.ts";
import { emptyReport, type FuzzReport, fuzzRequests, operatorTable } from "../test/fuzz/fuzz-requests.ts";
import { fuzzResponses } from "../test/fuzz/fuzz-responses.ts";
import type { Operator } from "../test/fuzz/operator.ts";
import { RecordingTap } from "../test/fuzz/recording-tap.ts";
import { requestOperators } from "../test/fuzz/request-operators.ts";
import { requestSeeds } from "../test/fuzz/request-seeds.ts";
import { responseOperators } from "../test/fuzz/response-operators.ts";
import { responseSeeds } from "../test/fuzz/response-seeds.ts";
import { SeededRandom } from "../test/fuzz/seeded-random.ts";
import { adminOk } from "../test/support/admin-client.ts";
import { type RunningProcess, runProcess } from "../test/support/child-process.ts";
import type { Figure } from "./prove.ts";

const command = fileURLToPath(new URL("../bin/penstock.js", import.meta.url));
const roundCount = 10_000;
/** Some sockets belong to the node: its stream to the control plane, a scrape that has just ended. */
const socketSlack = 4;
const settleSeconds = 30;

/** One control plane and one data plane, each a process. */
interface Plane {
  readonly processes: readonly RunningProcess[];
  readonly dataPlane: RunningProcess;
  readonly adminUrl: string;
  readonly statusUrl: string;
  readonly proxyPort: number;
}

async function startPlane(folder: string, name: string): Promise<Plane> {
  const env = { PENSTOCK_STATE_DIR: join(folder, name), PENSTOCK_WORKERS: "2", PENSTOCK_ACCESS_LOG: "off" };
  const isReady = (line: Record<string, unknown>) => line["msg"] === "ready";
  const controlPlane = runProcess(process.execPath, [command, "control-plane"], {
    env: { ...env, PENSTOCK_ADMIN_LISTEN: "127.0.0.1:0", PENSTOCK_SYNC_LISTEN: "127.0.0.1:0" },
  });
  const controls = await controlPlane.jsonLine(isReady);
  const dataPlane = runProcess(process.execPath, [command, "data-plane"], {
    env: {
      ...env,
      PENSTOCK_CONTROL_PLANE: (controls["sync"] as string[])[0]!,
      PENSTOCK_PROXY_LISTEN: "127.0.0.1:0",
      PENSTOCK_PROXY_TLS_LISTEN: "off",
      PENSTOCK_STATUS_LISTEN: "127.0.0.1:0",
    },
  });
  const carries = await dataPlane.jsonLine(isReady);
  return {
    processes: [controlPlane, dataPlane],
    dataPlane,
    adminUrl: `http://${(controls["admin"] as string[])[0]}`,
    statusUrl: `http://${(carries["status"] as string[])[0]}`,
    proxyPort: Number((carries["proxy"] as string[])[0]!.split(":").at(-1)),
  };
}

async function addRoute(plane: Plane, name: string, port: number, host: string | null): Promise<void> {
  const service = { name, host: "127.0.0.1", port, read_timeout: 2_000 };
  await adminOk(plane.adminUrl, "POST", "/services", service);
  const route = { name, paths: ["/"], strip_path: false, ...(host === null ? {} : { hosts: [host] }) };
  await adminOk(plane.adminUrl, "POST", `/services/${name}/routes?wait=applied&timeout=10s`, route);
}

function socketsOf({ dataPlane }: Plane): number {
  const folder = `/proc/${dataPlane.pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(join(folder, fd)).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}

async function metricOf(plane: Plane, name: string): Promise<number> {
  const text = await (await fetch(`${plane.statusUrl}/metrics`)).text();
  const lines = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))];
  if (lines.length === 0) throw new Error(`no metric ${name}`);
  return lines.reduce((sum, line) => sum + Number(line[1]), 0);
}

interface Part {
  readonly name: string;
  readonly operators: readonly Operator[];
  readonly report: FuzzReport;
  run(count: number): Promise<void>;
}

interface Target {
  readonly backend: RecordingBackend;
  readonly scripted: ScriptedBackend;
  readonly tap: RecordingTap;
}

/** Half of the mutants pass one data plane, a quarter two, and a quarter are answers. */
function partsOf(first: Plane, second: Plane, target: Target, seed: number): Part[] {
  const { backend, scripted, tap } = target;
  const requests = { operators: requestOperators, seeds: requestSeeds };
  const answers = { backend: scripted, host: "answers.test", operators: responseOperators, seeds: responseSeeds };
  const reports = [emptyReport(), emptyReport(), emptyReport()] as const;
  const one = { ...requests, port: second.proxyPort, recorders: [backend], random: new SeededRandom(seed) };
  const two = { ...requests, port: first.proxyPort, recorders: [tap, backend], random: new SeededRandom(seed + 1) };
  const lies = { ...answers, port: second.proxyPort, random: new SeededRandom(seed + 2) };
  return [
    {
      name: "one hop",
      operators: requestOperators,
      report: reports[0],
      run: (count) => fuzzRequests(one, count / 2, reports[0]),
    },
    {
      name: "two hops",
      operators: requestOperators,
      report: reports[1],
      run: (count) => fuzzRequests(two, count / 4, reports[1]),
    },
    {
      name: "answers",
      operators: responseOperators,
      report: reports[2],
      run: (count) => fuzzResponses(lies, count / 4, reports[2]),
    },
  ];
}

/** Lets everything go that only the targets hold open, and waits until the sockets are as many as before. */
async function leakedSockets(planes: readonly Plane[], before: readonly number[]): Promise<number> {
  let leaked = 0;
  for (let second = 0; second < settleSeconds; second++) {
    leaked = planes.reduce((sum, plane, i) => sum + Math.max(0, socketsOf(plane) - before[i]! - socketSlack), 0);
    if (leaked === 0) break;
    await sleep(1_000);
  }
  return leaked;
}

async function fuzzAll(parts: readonly Part[], total: number, progress: (line: string) => void): Promise<void> {
  const endsAtMs = performance.now() + Number(process.env["PENSTOCK_FUZZ_MINUTES"] ?? 90) * 60_000;
  const startedAtMs = performance.now();
  for (let sent = 0; sent < total && performance.now() < endsAtMs; sent += roundCount) {
    for (const part of parts) await part.run(Math.min(roundCount, total - sent));
    const seconds = Math.round((performance.now() - startedAtMs) / 1_000);
    const failures = parts.reduce((sum, { report }) => sum + report.failures.length, 0);
    progress(`${Math.min(sent + roundCount, total)} mutants after ${seconds} s, ${failures} differences`);
  }
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const total = Number(process.env["PENSTOCK_FUZZ_COUNT"] ?? 1_000_000);
  const seed = Number(process.env["PENSTOCK_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  progress(`seed ${seed}`);
  const folder = mkdtempSync(join(tmpdir(), "penstock-fuzz-"));
  const backend = await RecordingBackend.open();
  const scripted = await ScriptedBackend.open();
  const planes = await Promise.all([startPlane(folder, "first"), startPlane(folder, "second")]);
  const [first, second] = planes;
  const tap = await RecordingTap.open(second.proxyPort);
  let exits = 0;
  for (const { ended } of planes.flatMap(({ processes }) => processes)) void ended.then(() => exits++);
  try {
    await addRoute(second, "recorder", backend.port, null);
    await addRoute(second, "answers", scripted.port, "answers.test");
    await addRoute(first, "hop", tap.port, null);
    const before = planes.map(socketsOf);
    const parts = partsOf(first, second, { backend, scripted, tap }, seed);
    await fuzzAll(parts, total, progress);
    await Promise.all([tap.close(), backend.close(), scripted.close()]);
    const leaked = await leakedSockets(planes, before);
    for (const part of parts) {
      for (const line of operatorTable(part.report, part.operators).lines) progress(`${part.name}: ${line}`);
      for (const failure of part.report.failures.slice(0, 20)) progress(`${part.name}: ${failure}`);
    }
    const lost = await Promise.all(planes.map((plane) => metricOf(plane, "penstock_workers_lost_total")));
    const defects = await Promise.all(planes.map((plane) => metricOf(plane, "penstock_defects_total")));
    const sum = (of: (part: Part) => number) => parts.reduce((all, part) => all + of(part), 0);
    const sent = sum(({ report }) => report.mutants);
    const figure = (name: string, value: number): Figure => ({ name, value, unit: "", atMost: 0 });
    const told = (name: string, value: number): Figure => ({ name, value, unit: "", atMost: null });
    return [
      told("mutants sent", sent),
      figure("mutants short of what was asked for", Math.max(total - sent, 0)),
      told(
        "mutants that arrived or were delivered",
        sum(({ report }) => report.answers),
      ),
      figure("processes that ended", exits),
      figure("workers lost", lost[0]! + lost[1]!),
      figure("exceptions caught at a connection's boundary", defects[0]! + defects[1]!),
      figure(
        "hangs",
        sum(({ report }) => report.hangs),
      ),
      figure("leaked sockets", leaked),
      figure(
        "differences between hops, and other failures",
        sum(({ report }) => report.failures.length),
      ),
      figure(
        "operators of whose mutants less than 30 % passed",
        sum(({ report, operators }) => operatorTable(report, operators).tooFew.length),
      ),
    ];
  } finally {
    await Promise.all(planes.flatMap(({ processes }) => processes).map((one) => one.stop("SIGKILL")));
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Rows 1 and 15: the control plane is killed (SIGKILL) while two nodes carry load, three times. No request fails, and
 * the latency stays what it was. Then a node is killed and started again without a control plane: it answers from its
 * snapshots on disk.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createBalancedRoute } from "../test/support/admin-client.ts";
import type { RunningProcess } from "../test/support/child-process.ts";
import { LastingLoad, type LoadCounts } from "../test/support/lasting-load.ts";
import { LatencyHistogram } from "../test/support/latency-histogram.ts";
import {
  type ProofControlPlane,
  type ProofDataPlane,
  startProofControlPlane,
  startProofDataPlane,
  startProofTarget,
} from "../test/support/proof-planes.ts";
import { getFresh } from "../test/support/raw-http.ts";
import type { Figure } from "./prove.ts";

const nodeCount = 2;
const killCount = 3;
const requestsPerSecond = 500;
const secondsEach = 8;
const killAfterMs = 2_000;
const restartCount = 5;
const answerBytes = 100;

type Progress = (line: string) => void;

function summed(counts: readonly LoadCounts[]) {
  const latencies = new LatencyHistogram();
  for (const { latencyCounts } of counts) latencies.merge(latencyCounts);
  const sum = (of: (one: LoadCounts) => number) => counts.reduce((total, one) => total + of(one), 0);
  return {
    completed: sum(({ completed }) => completed),
    failed: sum(({ failed }) => failed),
    closed: sum(({ closed }) => closed),
    p99Ms: latencies.quantile(0.99),
  };
}

function restarted(folder: string, { adminUrl, syncAddress }: ProofControlPlane): Promise<ProofControlPlane> {
  const ports = { PENSTOCK_ADMIN_LISTEN: new URL(adminUrl).host, PENSTOCK_SYNC_LISTEN: syncAddress };
  return startProofControlPlane(folder, ports);
}

interface Rig {
  readonly folder: string;
  readonly loads: readonly LastingLoad[];
  readonly nodes: readonly ProofDataPlane[];
  readonly progress: Progress;
}

/** Resolves when a node has connected so often since its start. */
async function connectedTimes(node: RunningProcess, times: number): Promise<void> {
  let seen = 0;
  await node.jsonLine((line) => line["msg"] === "connected to the control plane" && ++seen === times);
}

/** @returns the control plane that lives now */
async function kills({ folder, loads, nodes, progress }: Rig, first: ProofControlPlane) {
  const run = () => Promise.all(loads.map((load) => load.run(secondsEach, requestsPerSecond)));
  const before: LoadCounts[] = [];
  const after: LoadCounts[] = [];
  let control = first;
  await run();
  for (let round = 0; round < killCount; round++) {
    before.push(...(await run()));
    const running = run();
    await sleep(killAfterMs);
    await control.process.stop("SIGKILL");
    after.push(...(await running));
    if (round === killCount - 1) break;
    control = await restarted(folder, control);
    await Promise.all(nodes.map(({ process }) => connectedTimes(process, round + 2)));
  }
  const [calm, killed] = [summed(before), summed(after)];
  progress(`with a control plane ${JSON.stringify(calm)}`);
  progress(`killed after ${killAfterMs} ms of ${secondsEach} s ${JSON.stringify(killed)}`);
  const of = `control plane killed ${killCount} times, ${nodeCount} nodes of ${requestsPerSecond} requests/s each`;
  const figures: Figure[] = [
    { name: `${of}: requests answered`, value: killed.completed, unit: "requests", atMost: null },
    { name: `${of}: failed`, value: killed.failed, unit: "requests", atMost: 0 },
    { name: `${of}: connections closed`, value: killed.closed, unit: "connections", atMost: 0 },
    {
      name: `${of}: latency p99 beside that with a control plane`,
      value: Math.round((killed.p99Ms / calm.p99Ms) * 100) / 100,
      unit: "times",
      atMost: 2,
    },
  ];
  return { control, figures };
}

/** From the start of the process until its first 200. */
async function firstAnswerMs(env: Record<string, string>, port: number): Promise<number> {
  const startedAtMs = performance.now();
  const starting = startProofDataPlane(env);
  for (;;) {
    const answer = await getFresh(port, `/p?bytes=${answerBytes}`).catch(() => null);
    if (answer?.status === 200) break;
    await sleep(2);
  }
  const ms = performance.now() - startedAtMs;
  await (await starting).process.stop("SIGKILL");
  return ms;
}

function nodeStartMs(): number {
  const startedAtMs = performance.now();
  execFileSync(process.execPath, ["-e", "0"]);
  return performance.now() - startedAtMs;
}

const median = (values: readonly number[]) => values.toSorted((left, right) => left - right)[values.length >> 1]!;

async function restarts(env: Record<string, string>, port: number, progress: Progress): Promise<Figure[]> {
  const times: number[] = [];
  for (let i = 0; i < restartCount; i++) times.push(await firstAnswerMs(env, port));
  const bare = Array.from({ length: restartCount }, nodeStartMs);
  progress(`first 200 after ${times.map(Math.round).join(", ")} ms; a bare node ${bare.map(Math.round).join(", ")} ms`);
  const of = `a node started without a control plane, ${restartCount} times`;
  return [
    { name: `${of}: first 200 after, longest`, value: Math.round(Math.max(...times)), unit: "ms", atMost: 1_000 },
    { name: `${of}: first 200 after, median`, value: Math.round(median(times)), unit: "ms", atMost: null },
    {
      name: "a bare node process from start to end, median",
      value: Math.round(median(bare)),
      unit: "ms",
      atMost: null,
    },
  ];
}

export async function prove(progress: Progress): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  const controlFolder = join(folder, "control");
  const target = await startProofTarget();
  let control = await startProofControlPlane(controlFolder);
  const nodes: ProofDataPlane[] = [];
  const loads: LastingLoad[] = [];
  const envOf = (i: number) => ({
    PENSTOCK_STATE_DIR: join(folder, `node-${i}`),
    PENSTOCK_CONTROL_PLANE: control.syncAddress,
  });
  try {
    for (let i = 0; i < nodeCount; i++) nodes.push(await startProofDataPlane(envOf(i)));
    const targets = [`127.0.0.1:${target.port}`];
    await createBalancedRoute(control.adminUrl, { name: "proof", path: "/p", targets });
    for (const { proxyPort } of nodes) {
      const request = `GET /p?bytes=${answerBytes} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
      loads.push(await LastingLoad.open({ port: proxyPort, connectionCount: 16, request, answerBytes }));
    }
    const killed = await kills({ folder: controlFolder, loads, nodes, progress }, control);
    control = killed.control;
    for (const load of loads) load.close();
    for (const { process } of nodes) await process.stop("SIGKILL");
    const port = nodes[0]!.proxyPort;
    const env = { ...envOf(0), PENSTOCK_PROXY_LISTEN: `127.0.0.1:${port}` };
    return [...killed.figures, ...(await restarts(env, port, progress))];
  } finally {
    for (const load of loads) load.close();
    for (const { process } of [...nodes, control]) await process.stop("SIGKILL");
    await target.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Row 10, and what a fleet of 1,000 nodes costs one control plane: nodes that hold nothing get a whole snapshot, one
 * small change reaches all, changes come 1,000 a second, and the control plane is killed and started again. The nodes
 * are simulated in a process of their own (test/support/simulated-fleet.ts): the streams are real ones over loopback,
 * without TLS; one node checks all that it gets, the others keep only what names it. They share the two cores with the
 * control plane.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { type LoopDelay, MeasuredControlPlane } from "../test/support/measured-control-plane.ts";
import { p99, probe } from "../test/support/proof-planes.ts";
import { writeAtRate } from "../test/support/rated-writes.ts";
import { SimulatedFleet } from "../test/support/simulated-fleet.ts";
import { threadCpu } from "../test/support/thread-cpu.ts";
import type { Figure } from "./prove.ts";

const nodeCount = 1_000;
const setCount = 1_000;
const changeCount = 50;
const burstSeconds = 10;

const hostsPerRoute = 12;

type Progress = (line: string) => void;

/** About 1 MB of upstreams, targets, services and routes. */
async function fill(adminUrl: string): Promise<void> {
  let next = 0;
  const write = async () => {
    for (let i = next++; i < setCount; i = next++) {
      const hosts = Array.from({ length: hostsPerRoute }, (_, k) => `host-${k}.team-${i}.example.com`);
      await adminOk(adminUrl, "POST", "/upstreams?wait=none", { name: `upstream-${i}` });
      await adminOk(adminUrl, "POST", `/upstreams/upstream-${i}/targets?wait=none`, { target: targetOf(i) });
      await adminOk(adminUrl, "POST", "/services?wait=none", { name: `service-${i}`, host: `upstream-${i}` });
      const route = { name: `route-${i}`, hosts, paths: [`/team/service-${i}`] };
      await adminOk(adminUrl, "POST", `/services/service-${i}/routes?wait=none`, route);
    }
  };
  await Promise.all(Array.from({ length: 16 }, write));
}

const targetOf = (i: number) => `10.0.${i >> 8}.${i & 255}:8080`;

/** A small change: the weight of one target. */
function change(number: number): { readonly path: string; readonly body: string } {
  const i = (number * 7) % setCount;
  const weight = 1 + ((number * 13) % 1_000);
  return { path: `/upstreams/upstream-${i}/targets/${targetOf(i)}`, body: JSON.stringify({ weight }) };
}

interface Rig {
  readonly control: MeasuredControlPlane;
  readonly fleet: SimulatedFleet;
  readonly progress: Progress;
}

/** As the control plane knows it: every node has a stream and has acked the newest publication. */
async function isAllAcked({ adminUrl }: MeasuredControlPlane): Promise<boolean> {
  const { body } = await adminOk(adminUrl, "GET", "/clustering/data-planes?size=1000");
  const rows = body.data as { connected: boolean; lag: number }[];
  return rows.length === nodeCount && rows.every(({ connected, lag }) => connected && lag === 0);
}

async function allAcked({ control, fleet }: Rig): Promise<void> {
  await fleet.all("in-sync");
  while (!(await isAllAcked(control))) await sleep(50);
}

const whole = (value: number) => Math.round(value);
const tenths = (value: number) => Math.round(value * 10) / 10;

/** (b) Nodes that hold nothing. The fleet has just been opened. */
async function firstSnapshots(rig: Rig, startedAtMs: number): Promise<Figure[]> {
  const { control, fleet, progress } = rig;
  await allAcked(rig);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const delay = await control.loopDelay();
  const peakMb = control.peakBytes() / 1e6;
  const { contentBytes, wholeCount, turnedAwayCount, stateCount, cpuMs } = await fleet.count();
  progress(`${contentBytes} bytes to all after ${tenths(seconds)} s; told to come later: ${turnedAwayCount} times`);
  progress(`loop delay ${JSON.stringify(delay)}; ${whole(peakMb)} MB at most; the fleet's CPU ${whole(cpuMs)} ms`);
  if (stateCount !== 1 || wholeCount < nodeCount - 1) throw new Error("not all nodes got the whole");
  const of = `${nodeCount} nodes that hold nothing`;
  return [
    { name: `${of}: bodies of the snapshot that each gets`, value: contentBytes, unit: "bytes", atMost: null },
    { name: `${of}: until all have acked it`, value: tenths(seconds), unit: "s", atMost: 30 },
    { name: `${of}: most in the control plane's memory (RSS)`, value: whole(peakMb), unit: "MB", atMost: 300 },
    ...delayFigures(of, delay, 50),
  ];
}

function delayFigures(of: string, { p99Ms, momentP99Ms, maxMs }: LoopDelay, atMost: number | null): Figure[] {
  return [
    { name: `${of}: event-loop delay, p99 of turns`, value: tenths(p99Ms), unit: "ms", atMost },
    { name: `${of}: event-loop delay, p99 of moments`, value: tenths(momentP99Ms), unit: "ms", atMost },
    { name: `${of}: event-loop delay, longest`, value: tenths(maxMs), unit: "ms", atMost: null },
  ];
}

/** (a) From the write's start until it returns, which it does when all have acked. */
async function smallChanges({ control, progress }: Rig): Promise<Figure[]> {
  const times: number[] = [];
  await control.loopDelay();
  for (let i = 0; i < changeCount; i++) {
    const { path, body } = change(i);
    const startedAtMs = performance.now();
    const answer = await adminOk(
      control.adminUrl,
      "PATCH",
      `${path}?wait=applied&timeout=30s`,
      JSON.parse(body) as Record<string, unknown>,
    );
    times.push(performance.now() - startedAtMs);
    const applied = answer.headers.get("penstock-applied");
    if (applied !== `${nodeCount}/${nodeCount}`) throw new Error(`applied by ${applied}`);
    await sleep(100);
  }
  const delay = await control.loopDelay();
  const median = times.toSorted((left, right) => left - right)[times.length >> 1]!;
  progress(`${changeCount} changes: median ${whole(median)} ms, p99 ${whole(p99(times))} ms; ${JSON.stringify(delay)}`);
  const of = `one small change to ${nodeCount} nodes`;
  return [
    { name: `${of}: acked by all, p99 of ${changeCount}`, value: whole(p99(times)), unit: "ms", atMost: 1_000 },
    { name: `${of}: acked by all, median`, value: whole(median), unit: "ms", atMost: null },
    ...delayFigures(of, delay, null),
  ];
}

/** (d) */
async function manyChanges({ control, fleet, progress }: Rig, perSecond: number) {
  await fleet.count();
  await control.loopDelay();
  const cpuBefore = threadCpu(control.pid, "store");
  const options = { perSecond, seconds: burstSeconds, connectionCount: 32 };
  const written = await writeAtRate(control.adminUrl, options, change);
  const cpuAfter = threadCpu(control.pid, "store");
  const counts = await fleet.count();
  const delay = await control.loopDelay();
  await allAcked({ control, fleet, progress });
  const { stateCount, refusalCount } = await fleet.count();
  if (written.failed > 0 || refusalCount > 0 || stateCount !== 1) throw new Error("a change failed or was refused");
  const perSecondOf = (ms: number) => ms / written.seconds;
  const outcome = {
    changesPerSecond: written.written / written.seconds,
    pushesPerSecond: counts.mostPushesPerSecond,
    meanPushesPerSecond: counts.mostPushes / written.seconds,
    cpuMs: perSecondOf(cpuAfter.othersMs - cpuBefore.othersMs),
    storeCpuMs: perSecondOf(cpuAfter.namedMs - cpuBefore.namedMs),
  };
  progress(`${perSecond} changes/s: ${JSON.stringify(outcome)}; ${JSON.stringify(delay)}`);
  return outcome;
}

async function changeRates(rig: Rig): Promise<Figure[]> {
  const few = await manyChanges(rig, 20);
  const many = await manyChanges(rig, 1_000);
  const cpu = "control plane's CPU, all threads but the store's";
  return [
    // With fewer, what they cost says nothing: a machine that has no time for them shows a small ratio.
    {
      name: "changes short of 1,000/s",
      value: Math.max(0, whole(1_000 - many.changesPerSecond)),
      unit: "1/s",
      atMost: 50,
    },
    {
      name: "1,000 changes/s: most pushes to a node in any second",
      value: many.pushesPerSecond,
      unit: "pushes",
      atMost: 20,
    },
    {
      name: "20 changes/s: most pushes to a node in any second",
      value: few.pushesPerSecond,
      unit: "pushes",
      atMost: null,
    },
    { name: `${cpu}, at 20 changes/s`, value: whole(few.cpuMs), unit: "ms/s", atMost: null },
    { name: `${cpu}, at 1,000 changes/s`, value: whole(many.cpuMs), unit: "ms/s", atMost: null },
    {
      name: `${cpu}, at 1,000 against 20`,
      value: Math.round((many.cpuMs / few.cpuMs) * 100) / 100,
      unit: "times",
      atMost: 1.5,
    },
    { name: "store thread's CPU, at 1,000 changes/s", value: whole(many.storeCpuMs), unit: "ms/s", atMost: null },
  ];
}

/** (c) From the kill on; the admin port is asked as soon as it is open again. */
async function restart(rig: Rig, folder: string): Promise<{ control: MeasuredControlPlane; figures: Figure[] }> {
  const { fleet, progress } = rig;
  const { adminUrl, syncAddress } = rig.control;
  const killedAtMs = performance.now();
  await rig.control.kill();
  await fleet.all("disconnected");
  const ports = { PENSTOCK_ADMIN_LISTEN: new URL(adminUrl).host, PENSTOCK_SYNC_LISTEN: syncAddress };
  const control = await MeasuredControlPlane.start(folder, ports);
  const readyAfterMs = performance.now() - killedAtMs;
  // Until it is open it keeps nobody waiting: what it takes to load the state is no delay of anything.
  const starting = await control.loopDelay();
  const reads = probe(`${adminUrl}/upstreams/upstream-1`, 10);
  const lists = probe(`${adminUrl}/services?size=100`, 50);
  await allAcked({ control, fleet, progress });
  const seconds = (performance.now() - killedAtMs) / 1_000;
  const latencies = [...(await reads.stop()), ...(await lists.stop())];
  const delay = await control.loopDelay();
  const { turnedAwayCount, wholeCount, stateCount } = await fleet.count();
  progress(
    `open after ${whole(readyAfterMs)} ms, all back after ${tenths(seconds)} s; ${JSON.stringify(starting)} before`,
  );
  progress(`told to come later: ${turnedAwayCount} times; whole snapshots: ${wholeCount}; ${JSON.stringify(delay)}`);
  progress(`${latencies.length} admin requests, p99 ${whole(p99(latencies))} ms`);
  if (stateCount !== 1) throw new Error("the nodes differ");
  const of = `control plane killed and started with ${nodeCount} nodes`;
  const figures = [
    { name: `${of}: all back after`, value: tenths(seconds), unit: "s", atMost: 30 },
    { name: `${of}: admin requests meanwhile, p99`, value: whole(p99(latencies)), unit: "ms", atMost: 500 },
    { name: `${of}: whole snapshots sent`, value: wholeCount, unit: "snapshots", atMost: 0 },
    ...delayFigures(of, delay, 200),
  ];
  return { control, figures };
}

export async function prove(progress: Progress): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-proof-"));
  let control = await MeasuredControlPlane.start(folder);
  let fleet: SimulatedFleet | undefined;
  try {
    await fill(control.adminUrl);
    control.forgetPeak();
    await control.loopDelay();
    const startedAtMs = performance.now();
    fleet = await SimulatedFleet.open(control.syncAddress, nodeCount);
    const rig = { control, fleet, progress };
    const figures = [
      ...(await firstSnapshots(rig, startedAtMs)),
      ...(await smallChanges(rig)),
      ...(await changeRates(rig)),
    ];
    const peakMb = control.peakBytes() / 1e6;
    const restarted = await restart(rig, folder);
    control = restarted.control;
    return [
      ...figures,
      {
        name: "most in the control plane's memory (RSS) in all of this",
        value: whole(peakMb),
        unit: "MB",
        atMost: 300,
      },
      ...restarted.figures,
    ];
  } finally {
    await fleet?.close();
    await control.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Row 40: what probes of 1,000 endpoints every 10 s, a tenth of them bad, cost the node, and how even they are. Row 36:
 * how soon a request is refused when all targets are down by the word of their checks, and how soon the first of them
 * is back.
 */
import { readFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { p99, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const endpointCount = 1_000;
const badShare = 0.1;
const intervalSeconds = 10;
const settleSeconds = 15;
const measuredSeconds = 40;
/** Linux counts CPU in these. */
const ticksPerSecond = 100;
const refusedCount = 300;
const recoveryCount = 12;
const recoveryIntervalMs = 500;

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** One server that is 1,000 targets, since every 127.x.y.z is an address of this machine. */
async function startTargets() {
  const probedAtMs: number[] = [];
  const state = { isDown: false };
  const server = createServer((asked, response) => {
    const [, , , last] = (asked.socket.localAddress ?? "").split(".");
    const isBad = state.isDown || (asked.url === "/up" && Number(last) % 10 === 0);
    if (asked.url === "/up") probedAtMs.push(performance.now());
    response.writeHead(isBad ? 503 : 200, { "content-length": 0 }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as AddressInfo;
  return { port, probedAtMs, state, close: () => server.closeAllConnections() ?? server.close() };
}

function checks(intervalOfEach: number) {
  const healthy = { interval: intervalOfEach, successes: 1 };
  const unhealthy = { interval: intervalOfEach, http_failures: 1, tcp_failures: 1, timeouts: 1 };
  return { active: { type: "http", http_path: "/up", healthy, unhealthy } };
}

/** The most that came within a window, in times of the mean. */
function burst(atMs: readonly number[], fromMs: number, windowMs: number): number {
  const counts = new Map<number, number>();
  for (const each of atMs)
    counts.set(Math.floor((each - fromMs) / windowMs), (counts.get(Math.floor((each - fromMs) / windowMs)) ?? 0) + 1);
  const mean = (endpointCount / intervalSeconds) * (windowMs / 1_000);
  return Math.max(...counts.values()) / mean;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, agent }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
    });
    sent.on("error", reject);
    sent.end();
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(5);
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const targets = await startTargets();
  const single = await startTargets();
  const planes = await startProofPlanes([]);
  const { adminUrl, proxyPort, dataPlanePid } = planes;
  try {
    await sleep(5_000);
    const idleFrom = cpuSeconds(dataPlanePid);
    await sleep(10_000);
    const idlePercent = (cpuSeconds(dataPlanePid) - idleFrom) * 10;
    progress(`creating ${endpointCount} targets`);
    await adminOk(adminUrl, "POST", "/upstreams?wait=none", { name: "many", healthchecks: checks(intervalSeconds) });
    for (let i = 0; i < endpointCount; i++) {
      const address = `127.0.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`;
      const wait = i === endpointCount - 1 ? "applied&timeout=30s" : "none";
      await adminOk(adminUrl, "POST", `/upstreams/many/targets?wait=${wait}`, { target: `${address}:${targets.port}` });
    }
    await sleep(settleSeconds * 1_000);
    progress(`measuring for ${measuredSeconds} s`);
    targets.probedAtMs.length = 0;
    const [fromMs, fromCpu] = [performance.now(), cpuSeconds(dataPlanePid)];
    await sleep(measuredSeconds * 1_000);
    const cpuPercent = ((cpuSeconds(dataPlanePid) - fromCpu) / measuredSeconds) * 100;
    const probed = [...targets.probedAtMs];
    const page = (await (await fetch(`${planes.statusUrl}/endpoints`)).json()) as {
      endpoints: { healthy: boolean; upstream: string }[];
    };
    const bad = page.endpoints.filter(({ healthy, upstream }) => upstream === "many" && !healthy).length;
    const recovery = await measureRecovery({ adminUrl, proxyPort, single, progress });
    return [
      figure("probes in the fullest second", burst(probed, fromMs, 1_000), "x the mean", 2),
      figure("probes in the fullest 100 ms", burst(probed, fromMs, 100), "x the mean", null),
      figure("probes that were missing", Math.max(measuredSeconds * 100 * 0.98 - probed.length, 0), "probes", 0),
      figure(
        "endpoints that are out and should not be, or the other way",
        Math.abs(bad - endpointCount * badShare),
        "endpoints",
        0,
      ),
      figure("CPU of the node, all of it", cpuPercent, "% of a core", 5),
      figure("CPU of the node before there were targets", idlePercent, "% of a core", null),
      ...recovery,
    ];
  } finally {
    agent.destroy();
    await planes.stop();
    targets.close();
    single.close();
  }
}

interface RecoveryInput {
  readonly adminUrl: string;
  readonly proxyPort: number;
  readonly single: Awaited<ReturnType<typeof startTargets>>;
  readonly progress: (line: string) => void;
}

/** A pair of targets that goes down and comes back, again and again. */
async function measureRecovery({ adminUrl, proxyPort, single, progress }: RecoveryInput): Promise<readonly Figure[]> {
  progress("all targets of an upstream down, and back");
  const wait = "wait=applied&timeout=10s";
  const healthchecks = checks(recoveryIntervalMs / 1_000);
  await adminOk(adminUrl, "POST", `/upstreams?${wait}`, { name: "pair", healthchecks });
  for (const last of [1, 2]) {
    await adminOk(adminUrl, "POST", `/upstreams/pair/targets?${wait}`, { target: `127.0.9.${last}:${single.port}` });
  }
  await adminOk(adminUrl, "POST", `/services?${wait}`, { name: "pair", host: "pair" });
  await adminOk(adminUrl, "POST", `/services/pair/routes?${wait}`, { paths: ["/pair"] });
  const refusedMs: number[] = [];
  const backMs: number[] = [];
  for (let round = 0; round < recoveryCount; round++) {
    single.state.isDown = true;
    const probeCount = single.probedAtMs.length;
    await until(
      async () => (await statusOf(proxyPort, "/pair/x")) === 503 && single.probedAtMs.length >= probeCount + 4,
    );
    for (let i = 0; i < refusedCount / recoveryCount; i++) {
      const startedAtMs = performance.now();
      if ((await statusOf(proxyPort, "/pair/x")) !== 503) throw new Error("not refused");
      refusedMs.push(performance.now() - startedAtMs);
    }
    // Anywhere between two probes.
    await sleep(Math.random() * recoveryIntervalMs);
    single.state.isDown = false;
    const startedAtMs = performance.now();
    await until(async () => (await statusOf(proxyPort, "/pair/x")) === 200);
    backMs.push(performance.now() - startedAtMs);
  }
  return [
    figure("answer when all targets are down, p99", p99(refusedMs), "ms", 5),
    figure(
      "until the first answer after they were back, the longest",
      Math.max(...backMs) / recoveryIntervalMs,
      "intervals",
      1,
    ),
  ];
}

function figure(name: string, value: number, unit: string, atMost: number | null): Figure {
  return { name, value: Math.round(value * 100) / 100, unit, atMost };
}

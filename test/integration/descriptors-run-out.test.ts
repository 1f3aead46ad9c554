import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";

/** Connects so many clients and leaves them open. @returns those that are not closed yet, and what closes them all */
async function crowd(port: number, count: number) {
  const open = new Set<Socket>();
  for (let i = 0; i < count; i++) {
    const socket = connect(port, "127.0.0.1");
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    socket.write("GET /d/x HTTP/1.1\r\nHost: a\r\n\r\n");
    socket.resume();
  }
  const close = () => {
    for (const socket of open) socket.destroy();
  };
  onTestFinished(close);
  await sleep(500);
  return { open, close };
}

async function counters(dataPlane: DataPlaneProcess): Promise<Record<string, number>> {
  const status = (await (await fetch(`${dataPlane.statusUrl}/status`)).json()) as { counters: Record<string, number> };
  return status.counters;
}

/** Seconds of CPU that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Resolves when a new client is served. */
async function served(dataPlane: DataPlaneProcess): Promise<void> {
  let status = 0;
  while (status !== 200) status = (await getFresh(dataPlane.proxyPort, "/d/x").catch(() => ({ status: 0 }))).status;
}

async function startStarved(env: Record<string, string>) {
  const controlPlane = await startControlPlane();
  const dataPlane = await startDataPlane(controlPlane.syncAddress, { descriptorLimit: 256, env });
  const target = await startEchoTargetProcess("t1");
  const other = await startEchoTargetProcess("t2");
  const targets = [`127.0.0.1:${target.port}`, `127.0.0.1:${other.port}`];
  await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/d", targets });
  return dataPlane;
}

describe.runIf(process.platform === "linux")("row 26: a node with 256 descriptors", () => {
  it("closes clients that are too many for them, tells of itself meanwhile, and takes new ones when some have gone", async () => {
    const dataPlane = await startStarved({});
    const { open, close } = await crowd(dataPlane.proxyPort, 400);
    expect(open.size).toBeGreaterThan(10);
    expect(open.size).toBeLessThan(128);
    const counted = await counters(dataPlane);
    expect(counted["limit_connections"]).toBe(400 - open.size);
    // Whoever was let in was served.
    expect(counted["responses_5xx"]).toBe(0);
    expect((await fetch(`${dataPlane.statusUrl}/metrics`)).status).toBe(200);
    close();
    await served(dataPlane);
  });

  it("rests when it was told to take more than there can be: no spin, no target blamed, and it recovers", async () => {
    const dataPlane = await startStarved({ PENSTOCK_CONNECTIONS_MAX: "100000", PENSTOCK_KEEP_ALIVE_TIMEOUT: "10m" });
    const { open, close } = await crowd(dataPlane.proxyPort, 400);
    expect(open.size).toBeGreaterThan(10);
    const before = cpuSeconds(dataPlane.pid);
    const startedAtMs = performance.now();
    const more = await crowd(dataPlane.proxyPort, 100);
    await sleep(1_000);
    // Of the time that has passed, which is more where the machine is busy; a loop that spins would use nearly all of it
    // in each of two workers.
    const passedSeconds = (performance.now() - startedAtMs) / 1_000;
    expect((cpuSeconds(dataPlane.pid) - before) / passedSeconds).toBeLessThan(0.5);
    close();
    more.close();
    await served(dataPlane);
    const counted = await counters(dataPlane);
    expect([counted["ejections"], counted["defects"], counted["workers_lost"]]).toEqual([0, 0, 0]);
  });
});

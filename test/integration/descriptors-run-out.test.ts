import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
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

/** Nanoseconds that each thread of a process has run or waited for a core to run on, by its id. */
function awakeNs(pid: number): Map<string, number> {
  const threads = readdirSync(`/proc/${pid}/task`);
  return new Map(
    threads.map((thread) => {
      const [ran, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      return [thread, Number(ran) + Number(waited)];
    }),
  );
}

/**
 * Resolves once the process rests: each of its threads has slept for more than half of half a second. What it does for
 * those who have just come takes as long as the machine takes; a loop that spins never sleeps, however busy the machine
 * is.
 */
async function rested(pid: number): Promise<void> {
  for (;;) {
    const before = awakeNs(pid);
    const startedAtMs = performance.now();
    await sleep(500);
    const passedNs = (performance.now() - startedAtMs) * 1e6;
    const shares = [...awakeNs(pid)].map(([thread, ns]) => (ns - (before.get(thread) ?? 0)) / passedNs);
    if (Math.max(...shares) < 0.5) return;
  }
}

/** Resolves when a new client is served. */
async function served(dataPlane: DataPlaneProcess): Promise<void> {
  let status = 0;
  while (status !== 200) status = (await getFresh(dataPlane.proxyPort, "/d/x").catch(() => ({ status: 0 }))).status;
}

async function startNode(descriptorLimit: number, env: Record<string, string>) {
  const controlPlane = await startControlPlane();
  const dataPlane = await startDataPlane(controlPlane.syncAddress, { descriptorLimit, env });
  const target = await startEchoTargetProcess("t1");
  const other = await startEchoTargetProcess("t2");
  const targets = [`127.0.0.1:${target.port}`, `127.0.0.1:${other.port}`];
  await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/d", targets });
  return { controlPlane, dataPlane };
}

/** A target that has the request that it got, and answers when it is told to. */
async function openSlowTarget() {
  const { promise: asked, resolve } = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => resolve(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** A client that keeps its connection. */
class KeptClient {
  readonly #socket: Socket;
  #text = "";
  #heard = () => {};

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("data", (bytes) => {
      this.#text += bytes.toString("latin1");
      this.#heard();
    });
    onTestFinished(() => void this.#socket.destroy());
  }

  /** @returns the status of the answer; 0 when the connection ends instead */
  async get(path: string): Promise<number> {
    this.#text = "";
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const ended = once(this.#socket, "close");
    while (!this.#text.includes("\r\n\r\n")) {
      const heard = new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
      if ((await Promise.race([heard, ended.then(() => "ended")])) === "ended") return 0;
    }
    return Number(this.#text.slice(9, 12));
  }
}

/** Changes how many files a process that runs may have open; what is open stays. */
function limitFiles(pid: number, count: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${count}:`]);
}

const hasPrlimit = process.platform === "linux" && spawnSync("prlimit", ["--version"]).status === 0;
if (!hasPrlimit) console.log("skipped: no prlimit here to take a node's descriptors away");

describe.runIf(process.platform === "linux")("row 26: a node with 256 descriptors", () => {
  it.each<{ name: string; env: Record<string, string>; warnings: number }>([
    { name: "of its own accord", env: {}, warnings: 0 },
    { name: "whatever it was told", env: { PENSTOCK_CONNECTIONS_MAX: "100000" }, warnings: 1 },
  ])(
    "$name closes clients that are too many for them, tells of itself meanwhile, and takes new ones when some have gone",
    async ({ env, warnings }) => {
      const { dataPlane } = await startNode(256, { ...env, PENSTOCK_KEEP_ALIVE_TIMEOUT: "10m" });
      const { open, close } = await crowd(dataPlane.proxyPort, 400);
      expect(open.size).toBeGreaterThan(10);
      expect(open.size).toBeLessThan(128);
      await rested(dataPlane.pid);
      const counted = await counters(dataPlane);
      expect(counted["limit_connections"]).toBe(400 - open.size);
      // Whoever was let in was served.
      expect([counted["responses_5xx"], counted["accept_pauses"]]).toEqual([0, 0]);
      expect((await fetch(`${dataPlane.statusUrl}/metrics`)).status).toBe(200);
      expect(dataPlane.lines.filter((line) => line.includes("connections-max is more"))).toHaveLength(warnings);
      close();
      await served(dataPlane);
    },
  );
});

describe.runIf(process.platform === "linux")("row 26: a node with 256 descriptors and 250 endpoints", () => {
  it("fails no request for want of a descriptor that an idle connection to a target has", async () => {
    const target = createHttpServer((_, response) => response.end("ok")).listen(0, "0.0.0.0");
    await once(target, "listening");
    onTestFinished(() => {
      target.closeAllConnections();
      target.close();
    });
    const hostsFile = join(temporaryFolder(), "hosts");
    const addresses = Array.from({ length: 250 }, (_, i) => `127.0.1.${i + 1}`);
    writeFileSync(hostsFile, addresses.map((address) => `${address} many.test\n`).join(""));
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { descriptorLimit: 256, hostsFile });
    const targets = [`many.test:${(target.address() as AddressInfo).port}`];
    await createBalancedRoute(controlPlane.adminUrl, { name: "d", path: "/d", targets });
    const clients = Array.from({ length: 7 }, () => new KeptClient(dataPlane.proxyPort));
    for (let i = 0; i < 1_500; i++) expect(await clients[i % 7]!.get("/d")).toBe(200);
    const counted = await counters(dataPlane);
    expect([counted["attempts_lost"], counted["accept_pauses"], counted["attempts"]]).toEqual([0, 0, 1_500]);
  });
});

describe.runIf(hasPrlimit).each(["worker", "main"])(
  "row 26: a node without descriptors that accepts in %s",
  (accept) => {
    it("rests, finishes what is under way, blames no target, and goes on when there are some again", async () => {
      const env = { PENSTOCK_ACCEPT: accept, PENSTOCK_KEEP_ALIVE_TIMEOUT: "10m" };
      const { controlPlane, dataPlane } = await startNode(1_024, env);
      const slow = await openSlowTarget();
      await createBalancedRoute(controlPlane.adminUrl, { name: "s", path: "/s", targets: [slow.address] });
      const patient = new KeptClient(dataPlane.proxyPort);
      const answered = patient.get("/s/x");
      const socket = await slow.asked;
      const kept = new KeptClient(dataPlane.proxyPort);
      expect(await kept.get("/d/x")).toBe(200);
      // Less than the process has open without any connection.
      limitFiles(dataPlane.pid, 16);
      await dataPlane.jsonLine((line) => String(line["msg"]).startsWith("no file descriptor is left"));
      const { close } = await crowd(dataPlane.proxyPort, 100);
      await rested(dataPlane.pid);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
      expect(await answered).toBe(200);
      expect(await kept.get("/d/x")).toBe(503);
      await rested(dataPlane.pid);
      limitFiles(dataPlane.pid, 1_024);
      close();
      await served(dataPlane);
      await dataPlane.jsonLine((line) => line["msg"] === "there are file descriptors again");
      expect(await kept.get("/d/x")).toBe(200);
      const counted = await counters(dataPlane);
      expect([counted["ejections"], counted["defects"], counted["workers_lost"]]).toEqual([0, 0, 0]);
      expect(counted["accept_pauses"]).toBeGreaterThanOrEqual(2);
    });
  },
);

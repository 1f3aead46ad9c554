import { describe, expect, it, onTestFinished } from "vitest";
import type { EndpointSet, WorkerConfig } from "./config/worker-config.ts";
import { NodeLoad } from "./listener/node-load.ts";
import {
  answerText,
  get,
  openBackend,
  RawClient,
  routeDefaults,
  serviceDefaults,
} from "./listener/proxy-server.test-rig.ts";
import { defaultClientLimits } from "./proxy/client-limits.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import { systemTimers } from "./upstream/timers.ts";
import { WorkerGroup, workerNumbers } from "./worker-group.ts";

const clientCount = 8;

/** Two real workers and a spare before a backend; connections are dealt to the two in turn. */
async function rig(answerTimeoutMs = 30_000) {
  const backend = await openBackend((_, socket) => void setImmediate(() => socket.write(answerText("ok"))));
  const table = EndpointTable.create({ endpointRowsMax: 8, poolRowsMax: 2, columnsMax: workerNumbers(2) });
  const endpoint = { row: table.allocateEndpointRow()!, address: "127.0.0.1", port: backend.port };
  const sets: EndpointSet[] = [
    { poolKey: "upstream:u", endpoints: [{ ...endpoint, weight: 100, hostHeader: "a.test" }], emptyBecause: null },
  ];
  const config: WorkerConfig = {
    publication: 1,
    revision: 1,
    routes: [routeDefaults],
    services: [serviceDefaults],
    pools: [
      {
        key: "upstream:u",
        name: "u",
        poolRow: table.allocatePoolRow()!,
        hostHeader: null,
        isUpstream: true,
        algorithm: "round-robin",
      },
    ],
  };
  const events: string[] = [];
  let wake = () => {};
  const tell = (event: string) => {
    events.push(event);
    wake();
  };
  const group = new WorkerGroup({
    entry: new URL("./worker-faults.test-worker.ts", import.meta.url),
    count: 2,
    keepsSpare: true,
    acceptIn: "main",
    reusePort: true,
    proxyHosts: ["127.0.0.1"],
    proxyPort: 0,
    endpointTable: table.buffer,
    version: "0.0.0",
    settings: {
      trustedProxies: [],
      upstreamIdleTimeoutMs: 60_000,
      accessLogSample: null,
      metricsSeriesMax: 10,
      limits: defaultClientLimits,
      nodeLoad: NodeLoad.create(workerNumbers(2)).buffer,
    },
    resourceLimits: { maxOldGenerationSizeMb: 64 },
    timers: systemTimers,
    answerTimeoutMs,
    retireTimeoutMs: 5_000,
    currentSets: () => sets,
    onAccessLog: () => {},
    onEjected: () => {},
    onLost: (number, cause) => tell(`lost ${number}: ${cause.split("\n")[0]}`),
    onReplaced: (number, reason) => tell(`replaced ${number}: ${reason}`),
    onExited(number) {
      table.clearColumn(number);
      tell(`exited ${number}`);
    },
    onUnfit: () => {},
    onAcceptError: (error) => tell(String(error)),
  });
  onTestFinished(async () => {
    group.close();
    await backend.close();
  });
  const port = await group.start();
  expect(await group.deliver(config, sets)).toEqual({ ok: true });
  // The spare has started, and has the config.
  await group.caughtUp();
  const until = async (pattern: RegExp) => {
    while (!events.some((event) => pattern.test(event))) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { group, table, port, events, until };
}

/** Clients that ask one request after the other, each on its connection as long as that lasts. */
function startClients(port: number) {
  let isOver = false;
  const failures = Array<number>(clientCount).fill(0);
  const answers = Array<number>(clientCount).fill(0);
  const runs = failures.map(async (_, i) => {
    let client = new RawClient(port);
    while (!isOver) {
      try {
        const { head } = await client.send(get("/")).answer();
        if (!head.startsWith("HTTP/1.1 200 OK")) throw new Error(head);
        answers[i]!++;
        // As a client does that keeps to HTTP: it does not ask again where it was told that the connection ends.
        if (/^connection: close/im.test(head)) client = new RawClient(port);
      } catch {
        failures[i]!++;
        client = new RawClient(port);
      }
    }
    client.close();
  });
  return {
    failures,
    answers,
    async stop() {
      isOver = true;
      await Promise.all(runs);
    },
  };
}

/** Waits until something is so, without keeping the event loop busy all the time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a worker that", () => {
  it.each([
    { fault: "throws", cause: /^lost 0: Error: a bug outside of any connection/ },
    { fault: "runs out of memory", cause: /^lost 0: out of memory/ },
    { fault: "loops for ever", cause: /^lost 0: gives no answer/ },
  ])("$fault is replaced at once, and costs nobody else a request", async ({ fault, cause }) => {
    // Nearly out of memory, a worker is slow too: it should not be taken for silent here.
    const { group, table, port, events, until: untilEvent } = await rig(fault === "loops for ever" ? 2_000 : 30_000);
    const clients = startClients(port);
    await until(() => clients.answers.every((count) => count > 20));
    const faults = new BroadcastChannel("worker-faults");
    faults.postMessage({ worker: 0, fault });
    onTestFinished(() => faults.close());
    await untilEvent(cause);
    await until(() => group.servingCount === 2);
    await untilEvent(/^exited 0/);
    const before = [...clients.answers];
    await until(() => clients.answers.every((count, i) => count > before[i]! + 20));
    await clients.stop();
    // Connections were dealt in turn: those with an even number to worker 0.
    expect(clients.failures.filter((_, i) => i % 2 === 1)).toEqual([0, 0, 0, 0]);
    expect(clients.failures.filter((count, i) => i % 2 === 0 && count === 0)).toEqual([]);
    expect(events.filter((event) => event.startsWith("lost"))).toHaveLength(1);
    await until(() => table.inFlightTotal() === 0);
  });
});

describe("a worker that is replaced", () => {
  it("costs no request, neither on connections that are kept nor on new ones", async () => {
    const { group, table, port, events, until: untilEvent } = await rig();
    const clients = startClients(port);
    await until(() => clients.answers.every((count) => count > 20));
    expect(await group.replaceAll("test")).toBe(true);
    await untilEvent(/^exited 0/);
    await untilEvent(/^exited 1/);
    await clients.stop();
    expect(clients.failures).toEqual(Array(clientCount).fill(0));
    expect(events.filter((event) => event.startsWith("lost"))).toEqual([]);
    await until(() => table.inFlightTotal() === 0);
  });
});

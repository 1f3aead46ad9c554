import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { encodeConfig } from "./config/encoded-config.test-encode.ts";
import type { EncodedConfig } from "./config/encoded-config.ts";
import { noTls } from "./config/tls-config.ts";
import { testEndpoint, testPool, testSet } from "./config/worker-config.test-entities.ts";
import type { RouteConfig } from "./config/worker-config.ts";
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
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A worker thread and what it told so far. */
function start(table: EndpointTable, port: number, number = 0, accessLogSample: number | null = null) {
  const workerData: WorkerStart = {
    number,
    endpointTable: table.buffer,
    version: "0.0.1",
    settings: {
      workerCount: 2,
      trustedProxies: [],
      debugFrom: [],
      upstreamIdleTimeoutMs: 60_000,
      upstreamCaPems: null,
      accessLogSample,
      metricsSeriesMax: 10,
      limits: defaultClientLimits,
      tls: null,
      nodeLoad: NodeLoad.create(8).buffer,
    },
  };
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData });
  ends.push(() => worker.terminate());
  const told: FromWorker[] = [];
  worker.on("message", (message: FromWorker) => told.push(message));
  worker.postMessage({
    type: "listen",
    place: { hosts: ["127.0.0.1"], port, reusePort: true },
    tlsPlace: null,
  } satisfies ToWorker);
  return {
    send: (message: ToWorker) => worker.postMessage(message),
    async hear<T extends FromWorker["type"]>(type: T): Promise<Extract<FromWorker, { type: T }>> {
      for (;;) {
        const at = told.findIndex((message) => message.type === type);
        if (at >= 0) return told.splice(at, 1)[0] as Extract<FromWorker, { type: T }>;
        await once(worker, "message");
      }
    },
  };
}

function configFor(
  table: EndpointTable,
  ports: readonly number[],
  publication = 1,
  route: Partial<RouteConfig> = {},
): EncodedConfig {
  const endpoints = ports.map((port) => testEndpoint({ row: table.allocateEndpointRow()!, port, weight: 100 }));
  return encodeConfig(
    {
      publication,
      revision: publication,
      routes: [{ ...routeDefaults, ...route }],
      services: [serviceDefaults],
      pools: [testPool()],
      tls: noTls,
    },
    [testSet(endpoints)],
  );
}

async function ask(port: number): Promise<string> {
  const client = new RawClient(port);
  try {
    return (await client.send(get("/")).answer()).body;
  } finally {
    client.close();
  }
}

describe("worker", () => {
  it("serves the config that it is sent, shares its port and its turns, reports, and leaves when told", async () => {
    const [a, b] = [
      await openBackend((_, socket) => void socket.write(answerText("a"))),
      await openBackend((_, socket) => void socket.write(answerText("b"))),
    ];
    ends.push(a.close, b.close);
    const table = EndpointTable.create({ endpointRowsMax: 8, poolRowsMax: 2 });
    table.allocatePoolRow();
    const first = start(table, 0);
    const { port } = await first.hear("listening");
    const second = start(table, port, 1);
    await second.hear("listening");
    const message = configFor(table, [a.port, b.port], 7);
    for (const worker of [first, second]) {
      worker.send({ type: "config", config: message });
      expect((await worker.hear("applied")).publication).toBe(7);
    }
    // Whichever worker the kernel chooses, the turns alternate: the cursor is shared.
    const answers: string[] = [];
    for (let i = 0; i < 40; i++) answers.push(await ask(port));
    expect(answers.join("")).toBe("ab".repeat(20));

    first.send({ type: "counters", id: 5, afterConfigs: false });
    second.send({ type: "counters", id: 6, afterConfigs: true });
    const counted = [await first.hear("counters"), await second.hear("counters")];
    expect(counted.map((each) => each.id)).toEqual([5, 6]);
    expect(counted[0]!.counters["requests"]! + counted[1]!.counters["requests"]!).toBe(40);

    await b.close();
    for (let i = 0; i < 4; i++) expect(await ask(port)).toBe("a");
    const ejected = await Promise.race([first.hear("ejected"), second.hear("ejected")]);
    expect(ejected).toMatchObject({ poolKey: "upstream:u", endpointRow: 1, cause: "refused" });

    second.send({
      type: "endpoints",
      endpointSets: [testSet([])],
    });
    second.send({ type: "drain", timeoutMs: 100 });
    await second.hear("drained");
    for (let i = 0; i < 4; i++) expect(await ask(port)).toBe("a");
  });

  it("says when it cannot listen, and when it cannot apply a config", async () => {
    const table = EndpointTable.create({ endpointRowsMax: 8, poolRowsMax: 2 });
    table.allocatePoolRow();
    const taken = await openBackend(() => {});
    ends.push(taken.close);
    const refused = await start(table, taken.port).hear("listen-failed");
    expect(refused.code).toBe("EADDRINUSE");

    const worker = start(table, 0);
    const { port } = await worker.hear("listening");
    worker.send({ type: "config", config: configFor(table, [taken.port], 3, { paths: ["~/("] }) });
    expect((await worker.hear("apply-failed")).publication).toBe(3);
    expect(await ask(port)).toContain("no configuration has reached this node yet");
  });
});

import { createServer, type Server } from "node:net";
import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { ConfigDecoder } from "./config/encoded-config.ts";
import type { Explanation } from "./proxy/explanation.ts";
import { TrafficMetrics } from "./proxy/traffic-metrics.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

/**
 * A traffic worker without traffic, for the tests of the worker group. What it does with a config is the name of
 * the config's first route; a comma and worker numbers behind it mean these workers only: "die,0", and "die,once" the
 * first worker that gets to it.
 */
const { number, endpointTable } = workerData as WorkerStart;
const port = parentPort!;
const say = (message: FromWorker, handles: readonly Server[] = []) =>
  port.postMessage(message, handles as unknown as Transferable[]);

let configCount = 0;
let heapBytes = 0;
const sets: string[] = [];
let servers: Server[] = [];

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "config": {
      configCount++;
      const pages = [...new ConfigDecoder().pagesOf(message.config)];
      for (const { pools = [] } of pages) sets.push(...pools.flatMap(([, , set]) => set?.poolKey ?? []));
      const first = pages.flatMap(({ routes = [] }) => routes)[0]?.[1];
      const [behaviour, ...numbers] = (first?.name ?? "serve").split(",");
      const isFirst = numbers[0] === "once" && Atomics.add(new Int32Array(endpointTable), 0, 1) === 0;
      const isMeant = numbers.length === 0 || isFirst || numbers.includes(String(number));
      take(isMeant ? behaviour! : "serve", message.config.publication);
      return;
    }
    case "endpoints":
      sets.push(...message.endpointSets.map(({ poolKey }) => poolKey));
      for (const { poolKey } of message.endpointSets)
        say({ type: "ejected", poolKey, endpointRow: number, cause: "test", retryAfterMs: 0 });
      return;
    case "counters":
      say({
        type: "counters",
        id: message.id,
        counters: { configCount, setCount: sets.length },
        sliceCount: 0,
        heapBytes,
        traffic: new TrafficMetrics(1).read(),
        upstreamConnections: { labels: [], cells: new Float64Array(0) },
      });
      return;
    case "explain": {
      const { method } = message.question;
      if (method === "DIE" && number === 0) process.exit(3);
      // Only the number says who has answered.
      const explanation = { publication: number } as Explanation;
      if (method !== "WAIT") say({ type: "explained", id: message.id, explanation });
      return;
    }
    case "listen":
      listen(message.place.hosts[0]!, message.place.port);
      return;
    case "adopt":
      servers.push(...message.servers.plain);
      for (const server of message.servers.plain)
        server.on("connection", (socket) => void socket.end(`worker ${number}`));
      say({ type: "listening", port: (servers[0]!.address() as { port: number }).port, tlsPort: null });
      return;
    case "take-connections":
      say({ type: "listening", port: message.port, tlsPort: message.tlsPort });
      return;
    case "connection":
      message.socket.end(`worker ${number}`);
      return;
    case "hand-over":
      say({ type: "handed-over", servers: { plain: servers, tls: [] } }, servers);
      servers = [];
      say({ type: "drained" });
      return;
    case "drain":
      say({ type: "drained" });
      return;
  }
});

function take(behaviour: string, publication: number): void {
  if (behaviour === "refuse") say({ type: "apply-failed", publication, message: `worker ${number} refuses` });
  if (behaviour === "die") process.exit(3);
  if (behaviour === "throw") throw new Error("worker bug");
  if (behaviour === "loop") for (;;);
  if (behaviour === "fill") heapBytes = 2 ** 40;
  if (behaviour === "serve" || behaviour === "fill" || behaviour === "die-later") {
    say({ type: "applied", publication, times: { durationMs: 1, sliceMaxMs: 1 } });
  }
  if (behaviour === "die-later") setImmediate(() => process.exit(3));
}

function listen(host: string, wantedPort: number): void {
  const server = createServer((socket) => void socket.end(`worker ${number}`));
  server.on("error", (error: NodeJS.ErrnoException) => {
    say({ type: "listen-failed", message: error.message, code: error.code ?? "" });
  });
  server.listen({ host, port: wantedPort, reusePort: true }, () => {
    servers.push(server);
    say({ type: "listening", port: (server.address() as { port: number }).port, tlsPort: null });
  });
}

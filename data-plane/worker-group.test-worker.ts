import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { TrafficMetrics } from "./proxy/traffic-metrics.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

/**
 * A traffic worker without traffic, for the tests of the worker group. What it does with a config is the name of
 * the config's first route; a comma and worker indexes behind it mean these workers only: "die,0".
 */
const { workerIndex, proxyHosts, proxyPort } = workerData as WorkerStart;
const port = parentPort!;
const say = (message: FromWorker) => port.postMessage(message);

let configCount = 0;
const sets: string[] = [];

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "config": {
      configCount++;
      sets.push(...message.endpointSets.map(({ poolKey }) => poolKey));
      const [behaviour, ...indexes] = (message.config.routes[0]?.name ?? "serve").split(",");
      const isMeant = indexes.length === 0 || indexes.includes(String(workerIndex));
      take(isMeant ? behaviour! : "serve", message.config.publication);
      return;
    }
    case "endpoints":
      sets.push(...message.endpointSets.map(({ poolKey }) => poolKey));
      for (const { poolKey } of message.endpointSets)
        say({ type: "ejected", poolKey, endpointRow: workerIndex, cause: "test" });
      return;
    case "counters":
      say({
        type: "counters",
        id: message.id,
        counters: { configCount, setCount: sets.length },
        traffic: new TrafficMetrics(1).read(),
        upstreamConnections: { labels: [], cells: new Float64Array(0) },
      });
      return;
    case "drain":
      say({ type: "drained" });
      return;
  }
});

function take(behaviour: string, publication: number): void {
  if (behaviour === "refuse") say({ type: "apply-failed", publication, message: `worker ${workerIndex} refuses` });
  if (behaviour === "die") process.exit(3);
  if (behaviour === "throw") throw new Error("worker bug");
  if (behaviour === "loop") for (;;);
  if (behaviour === "serve") say({ type: "applied", publication });
}

const server = createServer();
server.on("error", (error: NodeJS.ErrnoException) => {
  say({ type: "listen-failed", message: error.message, code: error.code ?? "" });
});
server.listen({ host: proxyHosts[0]!, port: proxyPort, reusePort: true }, () => {
  say({ type: "listening", port: (server.address() as { port: number }).port });
});

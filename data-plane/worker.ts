import { parentPort, workerData } from "node:worker_threads";
import { ProxyServer } from "./listener/proxy-server.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

/** Entry of a traffic worker: listens, serves what the main thread sends it, and reports back. */
const start = workerData as WorkerStart;
const main = parentPort!;

function tell(message: FromWorker): void {
  main.postMessage(message);
}

/** @param id of the request for them; 0 without one */
function tellCounters({ engine }: ProxyServer, id: number): void {
  const upstreamConnections = engine.upstreams.sizes(start.settings.metricsSeriesMax);
  tell({ type: "counters", id, counters: engine.counters.read(), traffic: engine.traffic.read(), upstreamConnections });
}

function tellLines(lines: Uint8Array<ArrayBuffer>, lineCount: number): void {
  main.postMessage({ type: "access-log", lines, lineCount } satisfies FromWorker, [lines.buffer]);
}

/** One line per defect, and no more than a few a second: a defect in the path of every request must not flood. */
let defectsLeft = 10;
setInterval(() => {
  defectsLeft = 10;
}, 1_000).unref();

function reportDefect(error: unknown): void {
  if (defectsLeft-- <= 0) return;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`worker ${start.workerIndex}: connection closed by an unexpected error: ${text}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function serve(server: ProxyServer, message: ToWorker): Promise<void> {
  const { snapshots } = server.engine;
  switch (message.type) {
    case "config": {
      const { publication } = message.config;
      try {
        snapshots.apply(message.config, message.endpointSets);
      } catch (error) {
        tell({ type: "apply-failed", publication, message: messageOf(error) });
        return;
      }
      tell({ type: "applied", publication });
      return;
    }
    case "endpoints":
      snapshots.applyEndpoints(message.endpointSets);
      return;
    case "counters":
      tellCounters(server, message.id);
      return;
    case "access-log-taken":
      server.engine.accessLog?.taken(message.byteCount);
      return;
    case "drain":
      await server.drain(message.timeoutMs);
      // What was counted since it was last asked for would be lost with this thread.
      tellCounters(server, 0);
      tell({ type: "drained" });
  }
}

try {
  const server = await ProxyServer.open({
    hosts: start.proxyHosts,
    port: start.proxyPort,
    reusePort: true,
    endpoints: EndpointTable.attach(start.endpointTable),
    version: start.version,
    trustedProxies: start.settings.trustedProxies,
    metricsSeriesMax: start.settings.metricsSeriesMax,
    accessLog:
      start.settings.accessLogSample === null ? null : { sampleRatio: start.settings.accessLogSample, send: tellLines },
    onEjected: (poolKey, endpointRow, cause) => tell({ type: "ejected", poolKey, endpointRow, cause }),
    onDefect: reportDefect,
  });
  main.on("message", (message: ToWorker) => {
    serve(server, message).catch(reportDefect);
  });
  tell({ type: "listening", port: server.port });
} catch (error) {
  tell({ type: "listen-failed", message: messageOf(error), code: codeOf(error) });
}

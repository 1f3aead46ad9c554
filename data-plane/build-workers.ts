import type { TlsSettings } from "./config/tls-settings.ts";
import { clientLimits } from "./limit-options.ts";
import { isShortage, restAfterShortage } from "./listener/accept-shortage.ts";
import type { NodeLoad } from "./listener/node-load.ts";
import type { DataPlaneOptions } from "./options.ts";
import { canSharePort } from "./probe-port.ts";
import { letThreadsCollect } from "./short-collections.ts";
import type { AccessLogWriter } from "./telemetry/access-log-writer.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { EndpointTotals } from "./telemetry/endpoint-totals.ts";
import type { Log } from "./telemetry/log.ts";
import type { EndpointTable } from "./upstream/endpoint-table.ts";
import { systemTimers as timers } from "./upstream/timers.ts";
import { WorkerGroup } from "./worker-group.ts";
import type { WorkerGroupOptions } from "./worker-group-options.ts";
import { keepAllocationsYoung } from "./young-allocation.ts";

type Forwarded = "proxyHosts" | "tlsPlace" | "version" | "onEndpoint";

export interface WorkersInput extends Pick<WorkerGroupOptions, Forwarded> {
  /** null: no port is opened for TLS. */
  readonly tls: TlsSettings | null;
  readonly upstreamCaPems: readonly string[] | null;
  readonly options: DataPlaneOptions;
  readonly log: Log;
  readonly counters: NodeCounters;
  readonly workerCount: number;
  readonly table: EndpointTable;
  readonly endpointTotals: EndpointTotals;
  readonly load: NodeLoad;
  readonly accessLog: AccessLogWriter | null;
  /** Worker after worker is lost while this is served. */
  readonly unfit: (publication: number, lastCause: string) => void;
}

/** No sign of life for so long, and a worker is taken for lost. */
const WORKER_ANSWER_TIMEOUT_MS = 5_000;
/**
 * V8's own bound is 192. Applying a large snapshot takes a worker towards it, which then keeps that. Requests leave
 * little behind that outlives a collection, so that more room gains them nothing: `npm run bench -- --only W1`.
 */
export const YOUNG_GENERATION_MB = 24;

/** The workers as the options want them; not started yet. */
export async function buildWorkers(input: WorkersInput): Promise<WorkerGroup> {
  const { options, log, counters, accessLog, proxyHosts, workerCount, table, load, version, endpointTotals } = input;
  keepAllocationsYoung();
  letThreadsCollect();
  const reusePort = await canSharePort();
  if (!reusePort && options.accept === "worker") {
    log.info("this system does not let threads share a port: the main thread accepts connections for the workers");
  }
  return new WorkerGroup({
    entry: new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url),
    count: workerCount,
    keepsSpare: options.keepsSpareWorker,
    waitsForConfig: options.isTakeOver,
    acceptIn: reusePort ? options.accept : "main",
    reusePort,
    proxyHosts,
    proxyPort: options.proxyListen.port,
    tlsPlace: input.tlsPlace,
    endpointTable: table.buffer,
    version,
    settings: {
      workerCount,
      trustedProxies: options.trustedProxies,
      debugFrom: options.debugFrom,
      limits: clientLimits(options),
      tls: input.tls,
      nodeLoad: load.buffer,
      upstreamIdleTimeoutMs: options.upstreamIdleTimeoutMs,
      upstreamCaPems: input.upstreamCaPems,
      accessLogSample: accessLog === null ? null : options.accessLogSample,
      metricsSeriesMax: options.metricsSeriesMax,
    },
    onAccessLog: (lines, lineCount, taken) => accessLog?.write(lines, lineCount, taken),
    resourceLimits: { maxOldGenerationSizeMb: options.workerMemoryMb, maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    timers,
    answerTimeoutMs: WORKER_ANSWER_TIMEOUT_MS,
    retireTimeoutMs: options.drainTimeoutMs,
    onEndpoint: input.onEndpoint,
    onLost(worker, cause, restartAfterMs) {
      counters.workers_lost++;
      log.error({ worker, cause, restartAfterMs }, "worker lost");
    },
    onReplaced(worker, reason) {
      counters.workers_replaced++;
      log.info({ worker, reason }, "worker replaced: it finishes what it has");
    },
    onEndpointBlock: (worker, index, buffer) => endpointTotals.add(worker, index, buffer),
    // What a lost worker had under way must not count for ever.
    onExited(worker) {
      endpointTotals.keep(worker);
      table.clearColumn(worker);
      load.clearColumn(worker);
    },
    onUnfit: input.unfit,
    onAcceptError(error) {
      if (isShortage(error)) restAfterShortage();
      else log.warn({ err: error }, "a connection could not be accepted");
    },
  });
}

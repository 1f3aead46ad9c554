import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BroadcastChannel } from "node:worker_threads";
import { buildHealth } from "../../data-plane/build-health.ts";
import { YOUNG_GENERATION_MB } from "../../data-plane/build-workers.ts";
import { type ConfigUpdate, pagesByteCount } from "../../data-plane/config/encoded-config.ts";
import { NodeLoad } from "../../data-plane/listener/node-load.ts";
import { collectGarbage } from "../../data-plane/memory-return.ts";
import { defaultClientLimits } from "../../data-plane/proxy/client-limits.ts";
import { letThreadsCollect, limitHelpers, ShortCollections } from "../../data-plane/short-collections.ts";
import type { SnapshotEntity } from "../../data-plane/snapshot/apply-snapshot.ts";
import { SnapshotApplier } from "../../data-plane/snapshot/snapshot-applier.ts";
import { nodeCounters } from "../../data-plane/telemetry/counters.ts";
import { openLog } from "../../data-plane/telemetry/log.ts";
import { CertificateCheck } from "../../data-plane/tls/certificate-check.ts";
import { EndpointResolver } from "../../data-plane/upstream/endpoint-resolver.ts";
import { EndpointRows } from "../../data-plane/upstream/endpoint-rows.ts";
import { EndpointTable } from "../../data-plane/upstream/endpoint-table.ts";
import { NameResolver } from "../../data-plane/upstream/resolve-name.ts";
import { systemTimers as timers } from "../../data-plane/upstream/timers.ts";
import type { DeliveryOutcome } from "../../data-plane/worker-delivery.ts";
import { WorkerGroup } from "../../data-plane/worker-group.ts";
import { workerNumbers } from "../../data-plane/worker-set.ts";
import { keepAllocationsYoung } from "../../data-plane/young-allocation.ts";
import { HARD_LIMITS } from "../../proto/hard-limits.ts";
import { askWorkers, channelName, type MeasuredStalls } from "./measured-worker-channel.ts";

/** What applying one snapshot took; of several workers, the one that took longest. */
export interface ApplyFacts extends MeasuredStalls {
  readonly sliceMaxMs: number;
  readonly workerMs: number;
  readonly nodeMs: number;
  readonly mainMaxMs: number;
  readonly sentBytes: number;
}

const workerCount = 2;
const endpointsMax = 65_536;

/** The part of a node between a snapshot and two real workers, as start-node.ts puts it together, and what it takes. */
export async function openApplyRig() {
  keepAllocationsYoung();
  letThreadsCollect();
  // A collection may be under way: ended, and none begins before the helpers are gone.
  collectGarbage();
  limitHelpers();
  const collections = new ShortCollections({ timers });
  const columnsMax = workerNumbers(workerCount);
  const table = EndpointTable.create({ endpointRowsMax: 2 * endpointsMax, poolRowsMax: 2 * endpointsMax, columnsMax });
  const rows = new EndpointRows(table, 300_000);
  const names = new NameResolver({
    lookup: () => new Promise(() => {}),
    hosts: { addressesOf: () => null },
    families: "fastest",
    race: async () => null,
    timers,
    random: Math.random,
    onChange: () => {},
  });
  const health = buildHealth({
    ...{ table, rows, names, upstreamCaPems: null, timesOf: (key) => endpoints.outlierOf(key) },
    ...{ log: openLog("silent"), counters: nodeCounters() },
  });
  const endpoints: EndpointResolver = new EndpointResolver({
    ...{ names, rows, timers, firstAnswersWaitMs: 0, endpointsMax, zone: null },
    onPrepared: (pool, set) => health.adopt(pool, set),
    onUse: (pools, sets) => health.update(pools, sets),
    onSets: () => {},
    onOverflow: () => {},
    caughtUp: () => group.caughtUp(),
  });
  const group = workerGroup(table);
  let sent: ConfigUpdate | null = null;
  let delivered: DeliveryOutcome | null = null;
  const refusals: string[] = [];
  const applier = new SnapshotApplier({
    limits: HARD_LIMITS,
    certificates: new CertificateCheck(100),
    endpoints,
    collections,
    workers: {
      async deliver(update) {
        sent = update;
        delivered = await group.deliver(update);
        return delivered;
      },
      withdraw: () => group.withdraw(),
    },
    onApplied: () => {},
    onRefused: (_, refusal) => refusals.push(JSON.stringify(refusal)),
    onWithdrawn: () => {},
    onRollbackFailed: (message) => refusals.push(message),
  });
  await group.start();
  const channel = new BroadcastChannel(channelName);
  let publication = 0;

  async function apply(entities: readonly SnapshotEntity[]): Promise<ApplyFacts> {
    const main = monitorEventLoopDelay({ resolution: 1 });
    await askWorkers(channel, "begin", workerCount);
    main.enable();
    const beganAtMs = performance.now();
    const identity = { epoch: { counter: 1, id: new Uint8Array(16) }, stateHash: new Uint8Array(32) };
    const outcome = await applier.apply({ ...identity, publication: ++publication, revision: publication, entities });
    const nodeMs = performance.now() - beganAtMs;
    main.disable();
    if (!outcome.ok || delivered?.ok !== true) throw new Error(`it was refused: ${refusals.join("; ")}`);
    const { durationMs: workerMs, sliceMaxMs } = delivered.times;
    const mainMaxMs = Math.max(main.max / 1e6 - 1, 0);
    return {
      ...(await askWorkers(channel, "end", workerCount)),
      sliceMaxMs,
      workerMs,
      nodeMs,
      mainMaxMs,
      sentBytes: pagesByteCount(sent!.change ?? sent!.whole()),
    };
  }

  return {
    apply,
    /** The longest delay of a worker's loop while nothing is applied, in milliseconds. */
    async idle(durationMs: number): Promise<number> {
      await askWorkers(channel, "begin", workerCount);
      await sleep(durationMs);
      return (await askWorkers(channel, "end", workerCount)).delayMaxMs;
    },
    async close(): Promise<void> {
      channel.close();
      group.close();
      collections.close();
      endpoints.close();
      names.close();
      health.close();
    },
  };
}

function workerGroup(table: EndpointTable): WorkerGroup {
  return new WorkerGroup({
    entry: new URL("./measured-worker.ts", import.meta.url),
    ...{ count: workerCount, keepsSpare: false, waitsForConfig: false, acceptIn: "worker", reusePort: true },
    ...{ proxyHosts: ["127.0.0.1"], proxyPort: 0, tlsPlace: null, endpointTable: table.buffer, version: "0.0.0" },
    settings: {
      ...{ workerCount, trustedProxies: [], debugFrom: [], upstreamIdleTimeoutMs: 60_000, upstreamCaPems: null },
      ...{ accessLogSample: null, metricsSeriesMax: 10, limits: defaultClientLimits, tls: null },
      nodeLoad: NodeLoad.create(workerNumbers(workerCount)).buffer,
    },
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    ...{ timers, answerTimeoutMs: 30_000, retireTimeoutMs: 1_000 },
    onAccessLog: () => {},
    onEndpointBlock: () => {},
    onEndpoint: () => {},
    onLost: (number, cause) => process.stderr.write(`worker ${number} was lost: ${cause}\n`),
    onReplaced: () => {},
    onExited: (number) => table.clearColumn(number),
    onUnfit: () => {},
    onAcceptError: () => {},
  });
}

import type { Socket } from "node:net";
import { getHeapStatistics } from "node:v8";
import { parentPort, receiveMessageOnPort, type Transferable, workerData } from "node:worker_threads";
import { ConfigDecoder, type EncodedConfig, pagesByteCount } from "./config/encoded-config.ts";
import type { EndpointSet } from "./config/worker-config.ts";
import { NodeLoad } from "./listener/node-load.ts";
import { type ListenPlace, ProxyServer } from "./listener/proxy-server.ts";
import { explainRequest } from "./proxy/explain-request.ts";
import { collectYoungObjects } from "./short-collections.ts";
import { inSlices } from "./steps/in-slices.ts";
import { EndpointCounts } from "./telemetry/endpoint-counts.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-message.ts";

/** Entry of a traffic worker: waits until it is let in, serves what the main thread sends it, and reports back. */
const start = workerData as WorkerStart;
const main = parentPort!;
const decoder = new ConfigDecoder();

function tell(message: FromWorker): void {
  main.postMessage(message);
}

/** @param id of the request for them; 0 without one */
function tellCounters({ engine }: ProxyServer, id: number): void {
  const upstreamConnections = engine.upstreams.sizes(start.settings.metricsSeriesMax);
  const { used_heap_size: heapBytes } = getHeapStatistics();
  const traffic = engine.traffic.read();
  tell({ type: "counters", id, counters: engine.counters.read(), sliceCount, heapBytes, traffic, upstreamConnections });
}

function tellLines(lines: Uint8Array, lineCount: number): void {
  tell({ type: "access-log", lines, lineCount });
}

/** Milliseconds that a worker which has failed waits for the main thread to hear of it. */
const noMoreWaitsMax = 200;

/** One line per defect, and no more than a few a second: a defect in the path of every request must not flood. */
let defectsLeft = 10;
setInterval(() => {
  defectsLeft = 10;
}, 1_000).unref();

function reportDefect(error: unknown): void {
  if (defectsLeft-- <= 0) return;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`worker ${start.number}: connection closed by an unexpected error: ${text}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function listening(server: ProxyServer): void {
  tell({ type: "listening", port: server.port, tlsPort: server.tlsPort });
}

async function listen(server: ProxyServer, place: ListenPlace, tlsPlace: ListenPlace | null): Promise<void> {
  try {
    await server.listen(place, tlsPlace);
    listening(server);
  } catch (error) {
    tell({ type: "listen-failed", message: messageOf(error), code: codeOf(error) });
  }
}

/** What waits at a listening server goes with it to the successor; closing it would reset that. */
async function handOver(server: ProxyServer, timeoutMs: number): Promise<void> {
  const servers = server.release();
  const handles = [...servers.plain, ...servers.tls];
  try {
    main.postMessage({ type: "handed-over", servers } satisfies FromWorker, handles as unknown as Transferable[]);
  } catch (error) {
    reportDefect(error);
    for (const each of handles) each.close();
    tell({ type: "handed-over", servers: { plain: [], tls: [] } });
  }
  await server.retire(timeoutMs);
  leave(server);
}

/**
 * A bug outside of any connection: what this thread holds is not to be trusted, and so it ends. Ending takes it tens of
 * milliseconds, in which connections would go on coming: its listening sockets, which hold nothing of it, go to its
 * successor first, and its clients hear of it at once.
 */
function fail(server: ProxyServer, error: unknown): never {
  const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const servers = server.release();
  const handles = [...servers.plain, ...servers.tls];
  server.giveUnread(giveBack);
  try {
    main.postMessage({ type: "failed", cause, servers } satisfies FromWorker, handles as unknown as Transferable[]);
  } catch {
    tell({ type: "failed", cause, servers: { plain: [], tls: [] } });
  }
  server.cut();
  giveBackUntaken();
  process.exit(1);
}

/** A connection that this thread knows nothing of yet is as good as new. */
function giveBack(socket: Socket, localPort: number, isTls: boolean): void {
  try {
    const message: FromWorker = { type: "left", socket, localPort, isTls };
    main.postMessage(message, [socket] as unknown as Transferable[]);
  } catch {
    socket.destroy();
  }
}

/** What the main thread has dealt to this one until it hears of its end would be closed with this thread. */
function giveBackUntaken(): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let waits = 0; waits < noMoreWaitsMax; ) {
    const message = receiveMessageOnPort(main)?.message as ToWorker | undefined;
    if (message?.type === "no-more") return;
    if (message?.type === "connection") giveBack(message.socket, message.localPort, message.isTls);
    if (message !== undefined) continue;
    waits++;
    Atomics.wait(clock, 0, 0, 1);
  }
}

function leave(server: ProxyServer): void {
  // What was counted since it was last asked for would be lost with this thread.
  tellCounters(server, 0);
  tell({ type: "drained" });
}

/** So long at most, and a step, requests wait for what is applied; a collection of garbage may come on top. */
const applySliceMs = 1;
/** Of a configuration, from which on what is made of it takes more than one short collection. */
const muchBytes = 256 * 1024;
let sliceCount = 0;
/** What is applied of configs and endpoints: one after the other, as they came. */
let lastApplied = Promise.resolve();
let waitingCount = 0;
/** Whether this worker serves another config than a change would be of. */
let isBehind = false;

async function apply(server: ProxyServer, config: EncodedConfig): Promise<void> {
  const { publication, revision, isWhole } = config;
  const beganAtMs = performance.now();
  let sliceMaxMs = 0;
  let durationMs = -1;
  function* steps(): Generator<void, void> {
    if (isBehind && !isWhole) throw new Error("the config before it could not be applied");
    const tls = yield* decoder.tlsSteps(config);
    const head = { publication, revision, isWhole, tls };
    yield* server.applySteps(head, decoder.pagesOf(config), () => {
      durationMs = performance.now() - beganAtMs;
    });
  }
  try {
    // Before its first config a worker answers nobody, and whoever lets it in counts on its having one.
    const isFirst = server.engine.snapshots.current === null;
    const isMuch = pagesByteCount(config) >= muchBytes;
    if (isMuch && !isFirst) collectYoungObjects();
    await inSlices(steps(), isFirst ? Number.POSITIVE_INFINITY : applySliceMs, (sliceMs) => {
      sliceCount++;
      sliceMaxMs = Math.max(sliceMaxMs, sliceMs);
    });
    if (isMuch && isFirst) collectYoungObjects(2);
  } catch (error) {
    if (durationMs >= 0) throw error;
    isBehind = true;
    tell({ type: "apply-failed", publication, message: messageOf(error) });
    return;
  }
  isBehind = false;
  tell({ type: "applied", publication, times: { durationMs, sliceMaxMs } });
}

async function applyEndpoints(server: ProxyServer, sets: readonly EndpointSet[]): Promise<void> {
  await inSlices(server.endpointSteps(sets), applySliceMs, () => sliceCount++);
}

/** At once, where nothing is under way: it begins in the turn in which it came. */
function inTurn(work: () => Promise<void> | void): Promise<void> {
  const run = async () => await work();
  const done = waitingCount === 0 ? run() : lastApplied.then(run);
  waitingCount++;
  lastApplied = done.catch(reportDefect).finally(() => waitingCount--);
  return lastApplied;
}

/** One after the other: the slices of many at once would follow each other, and requests wait for all of them. */
let lastExplained = Promise.resolve();

function explain(server: ProxyServer, { id, question }: Extract<ToWorker, { type: "explain" }>): Promise<void> {
  lastExplained = lastExplained.then(async () => {
    const explanation = await explainRequest(server.engine, server, question).catch((error: unknown) => {
      reportDefect(error);
      return messageOf(error);
    });
    tell({ type: "explained", id, explanation });
  });
  return lastExplained;
}

async function serve(server: ProxyServer, message: ToWorker): Promise<void> {
  switch (message.type) {
    case "config":
      return await inTurn(() => apply(server, message.config));
    case "endpoints":
      return await inTurn(() => applyEndpoints(server, message.endpointSets));
    case "counters":
      if (message.afterConfigs) return await inTurn(() => tellCounters(server, message.id));
      return tellCounters(server, message.id);
    case "explain":
      return await explain(server, message);
    case "access-log-taken":
      server.engine.accessLog?.taken(message.byteCount);
      return;
    case "listen":
      return await listen(server, message.place, message.tlsPlace);
    case "adopt":
      server.adopt(message.servers);
      return listening(server);
    case "take-connections":
      server.port = message.port;
      server.tlsPort = message.tlsPort;
      return listening(server);
    case "connection":
      server.accept(message.socket, message.localPort, message.isTls);
      return;
    case "hand-over":
      return await handOver(server, message.timeoutMs);
    // Only whoever has failed gets it, and takes it in by itself.
    case "no-more":
      return;
    case "wind-down":
      server.engine.isDraining = true;
      return;
    case "drain":
      await server.drain(message.timeoutMs);
      leave(server);
  }
}

const { endpointTable, number, version, settings } = start;
const server = await ProxyServer.create({
  endpoints: EndpointTable.attach(endpointTable, number),
  version,
  workerCount: settings.workerCount,
  trustedProxies: settings.trustedProxies,
  debugFrom: settings.debugFrom,
  limits: settings.limits,
  load: NodeLoad.attach(settings.nodeLoad, number),
  metricsSeriesMax: settings.metricsSeriesMax,
  endpointCounts: new EndpointCounts((index, buffer) => tell({ type: "endpoint-block", index, buffer })),
  accessLog: settings.accessLogSample === null ? null : { sampleRatio: settings.accessLogSample, send: tellLines },
  tls: settings.tls,
  upstreamPool: { idleTimeoutMs: settings.upstreamIdleTimeoutMs, trustedCaPems: settings.upstreamCaPems },
  onEjected: (poolKey, endpointRow, cause, retryAfterMs) =>
    tell({ type: "ejected", poolKey, endpointRow, cause, retryAfterMs }),
  onTrial: (endpointRow, outcome, cause) => tell({ type: "trial", endpointRow, outcome, cause }),
  onHealthFlip: (endpointRow, flip, cause) => tell({ type: "health", endpointRow, flip, cause }),
  onDefect: reportDefect,
});
process.on("uncaughtException", (error) => fail(server, error));
main.on("message", (message: ToWorker) => {
  serve(server, message).catch(reportDefect);
});

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { HARD_LIMITS } from "../proto/hard-limits.ts";
import { buildHealth } from "./build-health.ts";
import { buildNames } from "./build-names.ts";
import { buildWorkers } from "./build-workers.ts";
import { ExpiryWatch } from "./certificate-expiries.ts";
import { answerExplain } from "./explain-query.ts";
import { beginFirst } from "./first-snapshot.ts";
import { guardDescriptors } from "./guard-descriptors.ts";
import { helloFacts } from "./hello-facts.ts";
import { formatAddress, freeHosts } from "./listen-addresses.ts";
import { ListenError } from "./listen-error.ts";
import { NodeLoad } from "./listener/node-load.ts";
import { heapKeeping } from "./memory-return.ts";
import { systemMemoryLimit, watchMemory } from "./memory-watch.ts";
import { nodeStats } from "./node-stats.ts";
import { nodeStatus } from "./node-status.ts";
import { givenNodeId, openIdentity, openOwnPki } from "./open-identity.ts";
import { type NodeTls, openTls } from "./open-tls.ts";
import { openUpstreamCa } from "./open-upstream-ca.ts";
import type { Address } from "./option-readers.ts";
import type { DataPlaneOptions } from "./options.ts";
import { OwnPorts } from "./own-ports.ts";
import type { ProcessLosses } from "./process-losses.ts";
import type { ReceivedSnapshot } from "./snapshot/apply-snapshot.ts";
import { SnapshotApplier } from "./snapshot/snapshot-applier.ts";
import { openSnapshotFile, type SnapshotFile } from "./snapshot/snapshot-file.ts";
import { StartError } from "./start-error.ts";
import { openStateFolder, StateFolderError } from "./state-folder.ts";
import { openStatusServer } from "./status/status-server.ts";
import type { AnswerQuery } from "./sync/query-answers.ts";
import { type SyncClient, startSyncClient } from "./sync/sync-client.ts";
import { TrafficChanges } from "./sync/traffic-changes.ts";
import { AccessLogWriter } from "./telemetry/access-log-writer.ts";
import { type NodeCounters, nodeCounters } from "./telemetry/counters.ts";
import { EndpointTotals } from "./telemetry/endpoint-totals.ts";
import type { Log } from "./telemetry/log.ts";
import { residentMemoryBytes } from "./telemetry/resident-memory.ts";
import { CertificateCheck } from "./tls/certificate-check.ts";
import { openProcessLosses, unfitSnapshots } from "./unfit-snapshots.ts";
import { EndpointResolver } from "./upstream/endpoint-resolver.ts";
import { EndpointRows } from "./upstream/endpoint-rows.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import { systemTimers as timers } from "./upstream/timers.ts";
import { readVersion } from "./version.ts";
import type { WorkerGroup } from "./worker-group.ts";
import { workerNumbers } from "./worker-set.ts";

/** A running node. */
export interface DataPlaneNode {
  /** `host:port` of each bound address. */
  readonly proxyAddresses: readonly string[];
  /** Of the ports for TLS; empty without one. */
  readonly proxyTlsAddresses: readonly string[];
  readonly statusAddresses: readonly string[];
  /** Opens log files by their names again, after they were rotated. */
  reopenLogs(): void;
  /** Replaces every worker by a new one, without losing a connection. False when one stays as it was. */
  replaceWorkers(reason: string): Promise<boolean>;
  /** Takes no more work, finishes what is under way, and ends; resolves when all is closed. */
  drain(): Promise<void>;
}

/** Linux: whether connections that wait at a listener that closes go to another one on the same port. */
const MIGRATE_REQ_FILE = "/proc/sys/net/ipv4/tcp_migrate_req";
const FIRST_ANSWERS_WAIT_MS = 500;
/** So long before requests are cut at the end of the drain time, they are counted for the log. */
const LAST_WORD_MS = 50;
/** How long the last lines of the access log may take. */
const ACCESS_LOG_END_MS = 1_000;
/** What is known of an endpoint that goes is kept so long, in case that it comes back. */
const ROWS_KEEP_MS = 300_000;

/**
 * Builds a node of its parts and starts it. It listens before it has met a control plane, with the snapshot that it
 * served last, and looks for one ever after. With --take-over it listens only when it has something to serve: whoever
 * reaches it before could have been served by the process that has the port.
 * Errors: StartError.
 */
export async function startNode(options: DataPlaneOptions, log: Log): Promise<DataPlaneNode> {
  const version = readVersion();
  const counters = nodeCounters();
  const workerCount = options.workers ?? availableParallelism();
  const { folder, identity } = openSelf(options, log);
  const proxyHosts = await freeHosts(options, "proxyListen");
  const tlsHosts = await freeHosts(options, "proxyTlsListen");
  const tls = await openTls(options, folder.path);
  const accessLog = await openAccessLog(options, log, counters);
  const file = openSnapshotFile({ folder: join(folder.path, "snapshot") });
  const losses = openProcessLosses(folder.path, log);
  const ownPorts = new OwnPorts([options.proxyListen, options.proxyTlsListen, options.statusListen]);
  let sync: SyncClient | null = null;
  const traffic = await buildTraffic({
    ...{ options, ownPorts, log, counters, accessLog, proxyHosts, tlsHosts, tls, workerCount, version, file, losses },
    onWentBack: () => sync?.tellServed(),
  });
  let isDraining = false;
  const status = nodeStatus({
    nodeId: folder.nodeId,
    startedAtUnixMs: Date.now(),
    ...{ ...traffic, version, workerCount, counters },
    ...{ certificatesSeriesMax: options.metricsSeriesMax, endpointsSeriesMax: options.metricsSeriesMax },
    sync: () => sync,
    readyWhen: options.readyWhen,
    identity: () => identity?.status ?? null,
    isDraining: () => isDraining,
  });
  const statusServer = await openStatus(options.statusListen, status);
  const statusAddress = { host: options.statusListen.host, port: statusServer.port };
  const statusAddresses = [formatAddress(statusAddress)];
  ownPorts.add(statusAddress);
  const keep = (snapshot: ReceivedSnapshot) => void keepSnapshot(file, snapshot, counters, log);
  const from = { file, seed: options.seed, unfit: losses.refusalOf, applier: traffic.applier };
  const first = await beginFirst({ ...from, keep, timers, log });
  await adviseOnMigration(log);
  const listening = listen(traffic.workers);
  if (options.isTakeOver) log.info({ status: statusAddresses }, "listens when there is a configuration to serve");
  else await listening;
  sync = startSyncClient({
    controlPlanes: options.controlPlanes,
    ...(identity === null ? {} : { access: identity }),
    hello: helloFacts(options, folder.nodeId, version, workerCount),
    holding: () => traffic.applier.served,
    restored: first.held,
    apply: first.apply,
    ...{ observations: traffic.observations, traffic: traffic.changes, stats: nodeStats({ ...traffic, counters }) },
    answerQuery: answersOf(traffic),
    log,
    onApplied: keep,
  });
  const port = await listening;
  const proxyAddresses = bound(proxyHosts, port, ownPorts);
  const proxyTlsAddresses = bound(tlsHosts, traffic.workers.tlsPort ?? 0, ownPorts);
  const addresses = { proxy: proxyAddresses, proxy_tls: proxyTlsAddresses, status: statusAddresses };
  log.info({ ...addresses, node_id: folder.nodeId }, "ready");

  return {
    proxyAddresses,
    proxyTlsAddresses,
    statusAddresses,
    reopenLogs: () => accessLog?.reopen(),
    replaceWorkers: (reason) => traffic.workers.replaceAll(reason),
    async drain() {
      isDraining = true;
      losses.end();
      first.close();
      sync?.close();
      identity?.close();
      await file.flush();
      await drainWorkers(traffic, options.drainTimeoutMs, log);
      await accessLog?.close(ACCESS_LOG_END_MS);
      traffic.close();
      statusServer.close();
      folder.close();
    },
  };
}

function answersOf(traffic: Awaited<ReturnType<typeof buildTraffic>>): AnswerQuery {
  return (kind, body, signal) =>
    kind === "explain" ? answerExplain(traffic, body) : traffic.answerQuery(kind, body, signal);
}

/** The addresses as texts; no target may point at them. */
function bound(hosts: readonly string[], port: number, ownPorts: OwnPorts): readonly string[] {
  for (const host of hosts) ownPorts.add({ host, port });
  return hosts.map((host) => formatAddress({ host, port }));
}

async function drainWorkers(
  { workers, attemptsUnderWay }: Awaited<ReturnType<typeof buildTraffic>>,
  timeoutMs: number,
  log: Log,
): Promise<void> {
  const cancelWord = timers.after(Math.max(timeoutMs - LAST_WORD_MS, 0), () => {
    log.warn({ attempts: attemptsUnderWay() }, "the drain time is over: what is under way is cut");
  });
  await workers.drain(timeoutMs);
  cancelWord();
}

async function keepSnapshot(
  file: SnapshotFile,
  snapshot: Parameters<SnapshotFile["save"]>[0],
  counters: NodeCounters,
  log: Log,
): Promise<void> {
  const saved = await file.save(snapshot);
  if (saved.ok) return;
  counters.snapshot_save_failures++;
  log.error(
    { problem: saved.problem },
    "the snapshot is served but not kept on disk: a restart would begin with an older one",
  );
}

async function openAccessLog(options: DataPlaneOptions, log: Log, counters: NodeCounters) {
  if (options.accessLog === "off") return null;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  try {
    return await AccessLogWriter.open({
      target: options.accessLog,
      onProblem(problem, lostLineCount) {
        counters.access_log_lines_lost += lostLineCount;
        // A full disk fails every write; one word of it a minute is enough.
        if (timers.nowMs() - toldAtMs < 60_000) return;
        toldAtMs = timers.nowMs();
        log.error({ problem, lostLineCount }, "the access log cannot be written");
      },
    });
  } catch (cause) {
    throw new StartError(`cannot open the access log: ${(cause as Error).message}`, { cause });
  }
}

/** Who this node is, and the folder where that is kept. */
function openSelf(options: DataPlaneOptions, log: Log) {
  const ownPki = openOwnPki(options);
  const folder = openFolder(options, givenNodeId(options, ownPki));
  return { folder, identity: ownPki ?? openIdentity(options, folder, log) };
}

function openFolder(options: DataPlaneOptions, nodeId: string | null) {
  try {
    return openStateFolder(join(resolve(options.stateDir), "data-plane"), nodeId);
  } catch (cause) {
    if (cause instanceof StateFolderError) throw new StartError(cause.message, { cause });
    throw cause;
  }
}

interface TrafficInput {
  readonly options: DataPlaneOptions;
  readonly ownPorts: OwnPorts;
  readonly log: Log;
  readonly counters: NodeCounters;
  readonly accessLog: AccessLogWriter | null;
  readonly proxyHosts: readonly string[];
  readonly tlsHosts: readonly string[];
  readonly tls: NodeTls | null;
  readonly workerCount: number;
  readonly version: string;
  readonly file: SnapshotFile;
  readonly losses: ProcessLosses;
  /** Workers died of what they served, and serve what was before it. */
  readonly onWentBack: () => void;
}

const tooManyEndpoints = "too many endpoints: the former ones stay";

/** Everything between a snapshot and the workers that serve it. */
async function buildTraffic(input: TrafficInput) {
  const { options, ownPorts, log, counters, accessLog, proxyHosts, tlsHosts, tls, workerCount, version } = input;
  const { file, losses } = input;
  const table = createTable(options, workerCount);
  const endpointTotals = new EndpointTotals();
  const rows = new EndpointRows(table, ROWS_KEEP_MS, (row) => endpointTotals.clear(row));
  const nodeNames = await buildNames({ options, log, counters, onChange: (name) => endpoints.nameChanged(name) });
  const names = nodeNames.resolver;
  const endpoints: EndpointResolver = new EndpointResolver({
    names,
    rows,
    timers,
    firstAnswersWaitMs: FIRST_ANSWERS_WAIT_MS,
    ...{ endpointsMax: options.endpointsMax, zone: options.zone },
    onPrepared: (pool, set) => node.adopt(pool, set),
    onUse: (pools, sets) => node.update(pools, sets),
    onSets(endpointSets) {
      applier.endpointsChanged(endpointSets);
      workers.post({ type: "endpoints", endpointSets });
    },
    onOverflow: (pool) => log.error({ pool, endpointsMax: options.endpointsMax }, tooManyEndpoints),
    caughtUp: () => workers.caughtUp(),
  });
  const load = NodeLoad.create(workerNumbers(workerCount));
  const endGuards = guardSupplies(options, load, log, workerNumbers(workerCount));
  const upstreamCaPems = openUpstreamCa(options.upstreamCaFile);
  const timesOf = (poolKey: string) => endpoints.outlierOf(poolKey);
  const node = buildHealth({ table, rows, names, upstreamCaPems, timesOf, log, counters });
  const workers: WorkerGroup = await buildWorkers({
    options,
    log,
    counters,
    proxyHosts,
    tlsPlace: options.proxyTlsListen === null ? null : { hosts: tlsHosts, port: options.proxyTlsListen.port },
    tls: tls?.settings ?? null,
    upstreamCaPems,
    version,
    workerCount,
    table,
    endpointTotals,
    load,
    accessLog,
    onEndpoint: (found) => node.found(found),
    unfit: (publication, cause) => void applier.goBack(publication, cause).then(input.onWentBack),
  });
  const { collections, memory } = heapKeeping(timers);
  const applier: SnapshotApplier = new SnapshotApplier({
    limits: { ...HARD_LIMITS, ...options },
    endpoints,
    workers,
    certificates: new CertificateCheck(2 * options.certificatesMax),
    ...{ isOwnPort: ownPorts.has, collections },
    ...unfitSnapshots({ file, losses, counters, log }),
    onApplied({ publication, revision }, notes) {
      counters.snapshots_applied++;
      expiryWatch.look();
      memory.applied();
      log.info({ publication, revision, ...(notes.length === 0 ? {} : { ignored: notes }) }, "applied");
    },
  });
  const ownExpiry = tls === null ? [] : [{ id: "default", expiresAtMs: tls.defaultExpiresAtMs }];
  const expiries = () => [...ownExpiry, ...applier.expiries];
  const expiryWatch = new ExpiryWatch({ expiries, nowUnixMs: Date.now, timers, log });
  const close = () => {
    endGuards();
    for (const part of [expiryWatch, memory, collections, node, endpoints, nodeNames]) part.close();
  };
  const sets = () => node.health.pools.map(({ set }) => set);
  const changes = new TrafficChanges({ table, rows, totals: endpointTotals, sets });
  const attemptsUnderWay = () => table.inFlightTotal();
  return { workers, applier, table, rows, ...node, names: nodeNames, expiries, changes, attemptsUnderWay, close };
}

function createTable({ endpointsMax }: DataPlaneOptions, workerCount: number): EndpointTable {
  return EndpointTable.create({
    // Twice as many as may be in use: rows are kept for a while after they went out of use.
    endpointRowsMax: 2 * endpointsMax,
    poolRowsMax: 2 * endpointsMax,
    columnsMax: workerNumbers(workerCount),
  });
}

/** What the node must not run out of. @returns what ends it */
function guardSupplies(options: DataPlaneOptions, load: NodeLoad, log: Log, threadCount: number): () => void {
  const endMemoryWatch = guardMemory(options, load, log);
  const wantedMaxCount = options.connectionMaxCount;
  const endDescriptorWatch = guardDescriptors({ wantedMaxCount, threadCount, load, log, timers });
  return () => {
    endMemoryWatch();
    endDescriptorWatch();
  };
}

/** Has the workers refuse requests while the process comes near its memory limit. @returns what ends it */
function guardMemory(options: DataPlaneOptions, load: NodeLoad, log: Log): () => void {
  const { memoryLimitMb } = options;
  const limitBytes = memoryLimitMb === null ? systemMemoryLimit() : memoryLimitMb * 1_048_576;
  return watchMemory({
    limitBytes,
    shedShare: options.shedMemoryPercent / 100,
    timers,
    residentBytes: residentMemoryBytes,
    onRatio(ratio) {
      load.memoryRatio = ratio;
    },
    onShort: (residentBytes) => log.warn({ residentBytes, limitBytes }, "memory is short: requests are refused"),
    onRecovered: (residentBytes) => log.info({ residentBytes, limitBytes }, "memory is enough again"),
  });
}

async function openStatus(address: Address, source: Parameters<typeof openStatusServer>[2]) {
  try {
    return await openStatusServer(address.host, address.port, source);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === "EADDRINUSE" ? "the port is in use" : message;
    throw new StartError(`cannot listen on ${formatAddress(address)}: ${reason}`, { cause });
  }
}

async function listen(workers: WorkerGroup): Promise<number> {
  try {
    return await workers.start();
  } catch (cause) {
    if (cause instanceof ListenError) throw new StartError(cause.message, { cause });
    throw new StartError(`cannot start the workers: ${(cause as Error).message}`, { cause });
  }
}

/** Where processes take turns on one port, a sysctl decides whether a few connections are lost at each turn. */
async function adviseOnMigration(log: Log): Promise<void> {
  const setting = await readFile(MIGRATE_REQ_FILE, "utf8").catch(() => "");
  if (setting.trim() !== "0") return;
  log.info("net.ipv4.tcp_migrate_req is 0: with --take-over, connections that wait while a process ends are lost");
}

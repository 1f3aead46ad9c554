import type { EndpointSet } from "./config/worker-config.ts";
import type { EndpointFinding } from "./health/endpoint-finding.ts";
import { answerDrained } from "./health-check/drained-query.ts";
import type { HealthView } from "./health-check/endpoint-health.ts";
import { EndpointRamps } from "./health-check/endpoint-ramps.ts";
import { HealthKeeper } from "./health-check/health-keeper.ts";
import { EndpointReadmission, type ReadmissionOptions } from "./health-check/readmit-endpoints.ts";
import { probeSender } from "./health-check/send-probe.ts";
import { tcpCheck } from "./health-check/tcp-check.ts";
import { formatAddress } from "./listen-addresses.ts";
import type { Observation, ObservationSource } from "./sync/observation-reports.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";
import type { EndpointRow, EndpointRows } from "./upstream/endpoint-rows.ts";
import type { EndpointTable } from "./upstream/endpoint-table.ts";
import { httpPing } from "./upstream/http-ping.ts";
import type { PoolPlan } from "./upstream/pool-plan.ts";
import type { NameResolver } from "./upstream/resolve-name.ts";
import { systemTimers as timers } from "./upstream/timers.ts";

export interface HealthInput {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly names: NameResolver;
  /** The authorities that probes over TLS trust; null = those that come with Node. */
  readonly upstreamCaPems: readonly string[] | null;
  /** Of a pool's ejections; null for the default. */
  readonly timesOf: ReadmissionOptions["timesOf"];
  readonly log: Log;
  readonly counters: NodeCounters;
}

/** Who brings endpoints back, who checks them, and what is told of them. */
export interface NodeHealth {
  readonly readmission: EndpointReadmission;
  readonly health: HealthKeeper;
  readonly observations: ObservationSource;
  /** null for a kind of question that the node does not know. */
  readonly answerQuery: (kind: string, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array> | null;
  /** This pool will be in use with the next update; see HealthKeeper.adopt. */
  adopt(pool: PoolPlan, set: EndpointSet): void;
  /** These pools and endpoints are in use from now on: before workers are told. */
  update(pools: readonly PoolPlan[], sets: ReadonlyMap<string, EndpointSet>): void;
  /** What a worker found out of an endpoint. */
  found(finding: EndpointFinding): void;
  close(): void;
}

/** Probes under way at once, whatever their upstreams say. */
const PROBES_MAX = 256;

export function buildHealth(input: HealthInput): NodeHealth {
  const { table, rows } = input;
  const readmission = buildReadmission(input, () => health);
  const ramps = new EndpointRamps({ table, rows, timers });
  const health: HealthKeeper = buildKeeper(input, readmission, ramps);
  const toObservations = (views: readonly HealthView[]) => views.map(toObservation);
  return {
    readmission,
    health,
    observations: {
      takeAll: () => toObservations(health.endpoints.takeAll()),
      takeChanged: (withCounts) => toObservations(health.endpoints.takeChanged(withCounts)),
    },
    answerQuery(kind, body, signal) {
      if (kind !== "drained") return null;
      return answerDrained({ table, rows, timers }, body, signal).then((answer) => Buffer.from(JSON.stringify(answer)));
    },
    adopt: (pool, set) => health.adopt(pool, set),
    update(pools, sets) {
      health.update(pools, sets);
      ramps.update(pools, sets);
    },
    found(finding) {
      if (finding.type !== "health") readmission.found(finding);
      else health.flippedByTraffic(finding.endpointRow, finding.flip, finding.cause);
    },
    close() {
      readmission.close();
      health.close();
      ramps.close();
    },
  };
}

function buildKeeper(input: HealthInput, readmission: EndpointReadmission, ramps: EndpointRamps): HealthKeeper {
  const { log, counters, names, rows } = input;
  return new HealthKeeper({
    ...input,
    timers,
    dnsOf(host) {
      const { source, error } = names.describe(host);
      return (names.endpointsOf(host).length > 0 ? source : error) ?? "";
    },
    nowUnixMs: Date.now,
    random: Math.random,
    send: probeSender(input.upstreamCaPems),
    probesMax: PROBES_MAX,
    onProbed(isSuccess) {
      counters.health_probes++;
      if (!isSuccess) counters.health_probe_failures++;
    },
    onTransition({ upstreamName, serviceId, target, address, row, isHealthy, source, reason }) {
      ramps.look(row);
      const owner = serviceId === "" ? { upstream: upstreamName } : { service: serviceId };
      const told = { ...owner, target, endpoint: address, source, reason };
      log[isHealthy ? "info" : "warn"](told, isHealthy ? "endpoint healthy" : "endpoint unhealthy");
    },
    onPassiveUnhealthy(row) {
      const endpoint = rows.endpointAt(row);
      // Its host may have moved.
      if (endpoint !== null) names.refresh(endpoint.host);
      readmission.ejected(row, "health checks");
    },
    onForgiven: (row) => readmission.forgiven(row),
  });
}

function buildReadmission(
  { table, rows, names, timesOf, log, counters }: HealthInput,
  health: () => HealthKeeper,
): EndpointReadmission {
  const told = ({ poolKey, address, port }: EndpointRow) => ({
    pool: poolKey,
    endpoint: formatAddress({ host: address, port }),
  });
  return new EndpointReadmission({
    table,
    rows,
    timers,
    random: Math.random,
    timesOf,
    check: tcpCheck,
    ping: httpPing,
    probeTimeoutMs: 2_000,
    probesMax: 64,
    onEjected(endpoint, cause) {
      log.warn({ ...told(endpoint), cause }, "endpoint ejected");
      health().ejected(endpoint, cause);
      // Its host may have moved.
      names.refresh(endpoint.host);
    },
    onProbeFailed(endpoint, problem) {
      counters.probe_failures++;
      log.debug({ ...told(endpoint), problem }, "probe failed");
      names.refresh(endpoint.host);
    },
    onReadmitted(endpoint) {
      counters.readmissions++;
      log.info(told(endpoint), "endpoint readmitted");
      health().readmitted(endpoint);
    },
  });
}

function toObservation(view: HealthView): Observation {
  return {
    upstreamId: view.upstreamId,
    serviceId: view.serviceId,
    targetId: view.targetId,
    address: view.address,
    healthy: view.isHealthy,
    source: view.source,
    reason: view.reason,
    sinceUnixMs: BigInt(Math.round(view.sinceUnixMs)),
    weight: view.weight,
    transitionCount: BigInt(view.transitionCount),
    probeSuccesses: BigInt(view.probeSuccesses),
    probeFailures: BigInt(view.probeFailures),
    gone: view.isGone,
    isChecked: view.isChecked,
    dns: view.dns,
  };
}

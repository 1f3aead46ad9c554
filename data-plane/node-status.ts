import { getHeapStatistics } from "node:v8";
import type { NodeNames } from "./build-names.ts";
import { expiryMetric } from "./certificate-expiries.ts";
import type { HealthKeeper } from "./health-check/health-keeper.ts";
import { endpointsPage, healthMetrics } from "./health-check/health-metrics.ts";
import type { EndpointReadmission } from "./health-check/readmit-endpoints.ts";
import type { IdentityStatus } from "./identity/node-identity.ts";
import type { CertificateExpiry } from "./snapshot/compile-tls.ts";
import type { SnapshotApplier } from "./snapshot/snapshot-applier.ts";
import { ourMetric } from "./status/metrics-text.ts";
import type { StatusSource } from "./status/status-server.ts";
import { trafficFamilies } from "./status/traffic-families.ts";
import type { SyncState } from "./sync/sync-client.ts";
import { isLevel, type NodeCounters } from "./telemetry/counters.ts";
import { residentMemoryBytes } from "./telemetry/resident-memory.ts";
import type { EndpointTable } from "./upstream/endpoint-table.ts";
import type { WorkerGroup } from "./worker-group.ts";

export interface NodeStatusParts {
  readonly nodeId: string;
  readonly version: string;
  readonly workerCount: number;
  readonly startedAtUnixMs: number;
  readonly workers: WorkerGroup;
  readonly applier: SnapshotApplier;
  readonly readmission: EndpointReadmission;
  readonly names: NodeNames;
  readonly health: HealthKeeper;
  readonly table: EndpointTable;
  readonly counters: NodeCounters;
  /** Of all certificates that there are now. */
  readonly expiries: () => readonly CertificateExpiry[];
  /** How many of them have a metric of their own. */
  readonly certificatesSeriesMax: number;
  /** How many endpoints, and upstreams, have. */
  readonly endpointsSeriesMax: number;
  /** Attempts at targets that are under way, of all workers. */
  readonly attemptsUnderWay: () => number;
  /** Null until the node has begun to look for a control plane. */
  readonly syncState: () => SyncState | null;
  /** Null where the node shows control planes nothing. */
  readonly identity: () => IdentityStatus | null;
  readonly isDraining: () => boolean;
}

/** What the node tells of itself on its status port. */
export function nodeStatus(parts: NodeStatusParts): StatusSource {
  const { workers, applier, readmission, counters } = parts;

  function notReadyBecause(): string | null {
    if (parts.isDraining()) return "draining";
    if (applier.served === null) return "no configuration available";
    return workers.servingCount === 0 ? "no worker is ready" : null;
  }

  return {
    notReadyBecause,
    async status() {
      const { served } = applier;
      return {
        node_id: parts.nodeId,
        version: parts.version,
        started_at: new Date(parts.startedAtUnixMs).toISOString(),
        ready: notReadyBecause() === null,
        publication: served?.publication ?? null,
        revision: served?.revision ?? null,
        state_hash: served === null ? null : Buffer.from(served.stateHash).toString("hex"),
        control_plane: controlPlaneStatus(parts.syncState(), served?.publication ?? 0),
        identity: identityStatus(parts.identity()),
        workers: { count: parts.workerCount, listening: workers.listeningCount, serving: workers.servingCount },
        ejected_endpoints: readmission.ejectedCount,
        attempts_under_way: parts.attemptsUnderWay(),
        counters: { ...counters, ...(await workers.counters()) },
        memory: { resident_bytes: residentMemoryBytes(), heap_bytes: getHeapStatistics().used_heap_size },
      };
    },
    names: () => parts.names.page(),
    endpoints: () => endpointsPage(parts.health, parts.table),
    async metrics() {
      const held = applier.served?.publication ?? 0;
      const gauges = {
        ready: notReadyBecause() === null ? 1 : 0,
        publication: held,
        revision: applier.served?.revision ?? 0,
        control_plane_connected: parts.syncState()?.connection === "connected" ? 1 : 0,
        control_plane_stale: isStale(parts.syncState(), held) ? 1 : 0,
        ...identityGauges(parts.identity()),
        workers: parts.workerCount,
        workers_serving: workers.servingCount,
        endpoints_ejected: readmission.ejectedCount,
        ...parts.names.gauges(),
        attempts_under_way: parts.attemptsUnderWay(),
        resident_memory_bytes: residentMemoryBytes(),
        start_time_seconds: parts.startedAtUnixMs / 1000,
      };
      const counted = { ...counters, ...(await workers.counters()) };
      return [
        ...Object.entries(gauges).map(([name, value]) => ourMetric(name, "gauge", value)),
        ...Object.entries(counted).map(([name, value]) => ourMetric(name, isLevel(name) ? "gauge" : "counter", value)),
        ...trafficFamilies(workers.traffic()),
        ...healthMetrics(parts.health, parts.table, parts.endpointsSeriesMax),
        expiryMetric(parts.expiries(), parts.certificatesSeriesMax),
      ];
    },
  };
}

function controlPlaneStatus(state: SyncState | null, heldPublication: number) {
  return {
    connected: state?.connection === "connected",
    address: state?.controlPlane ?? null,
    since: state === null ? null : new Date(state.sinceUnixMs).toISOString(),
    newest_publication: state?.newestPublication ?? null,
    stale: isStale(state, heldPublication),
    problem: state?.problem ?? null,
    last_refusal: state?.lastRefusal ?? null,
  };
}

function identityStatus(identity: IdentityStatus | null) {
  if (identity === null) return null;
  const { type, expiresAtMs, renewsAtMs, problem } = identity;
  const isoTime = (unixMs: number | null) => (unixMs === null ? null : new Date(unixMs).toISOString());
  return { type, expires_at: isoTime(expiresAtMs), renews_at: isoTime(renewsAtMs), problem };
}

/** No expiry stands for no certificate; a problem is there before it expires. */
function identityGauges(identity: IdentityStatus | null): Record<string, number> {
  if (identity === null) return {};
  const { expiresAtMs, problem } = identity;
  return {
    identity_problem: problem === null ? 0 : 1,
    ...(expiresAtMs === null ? {} : { identity_expires_timestamp_seconds: expiresAtMs / 1000 }),
  };
}

/** Whether the control plane may have something that this node does not serve. */
function isStale(state: SyncState | null, heldPublication: number): boolean {
  return state?.connection !== "connected" || state.newestPublication > heldPublication;
}

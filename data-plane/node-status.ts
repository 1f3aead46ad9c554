import { getHeapStatistics } from "node:v8";
import type { NodeNames } from "./build-names.ts";
import { expiryMetric } from "./certificate-expiries.ts";
import type { HealthKeeper } from "./health-check/health-keeper.ts";
import { endpointsPage, healthMetrics } from "./health-check/health-metrics.ts";
import type { EndpointReadmission } from "./health-check/readmit-endpoints.ts";
import type { IdentityStatus } from "./identity/node-identity.ts";
import { type ReadyCondition, type UnmetCondition, unmetConditions } from "./ready-conditions.ts";
import type { CertificateExpiry } from "./snapshot/compile-tls.ts";
import type { SnapshotApplier } from "./snapshot/snapshot-applier.ts";
import { ourMetric } from "./status/metrics-text.ts";
import type { StatusSource } from "./status/status-server.ts";
import { trafficFamilies } from "./status/traffic-families.ts";
import type { SyncClient, SyncState } from "./sync/sync-client.ts";
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
  readonly sync: () => Pick<SyncClient, "state" | "contact"> | null;
  /** What has to be so for the node to be ready. */
  readonly readyWhen: readonly ReadyCondition[];
  /** Null where the node shows control planes nothing. */
  readonly identity: () => IdentityStatus | null;
  readonly isDraining: () => boolean;
}

/** What the node tells of itself on its status port. */
export function nodeStatus(parts: NodeStatusParts): StatusSource {
  const { workers, applier, readmission, counters } = parts;

  const syncState = () => parts.sync()?.state ?? null;
  const unmet = (): readonly UnmetCondition[] =>
    unmetConditions(parts.readyWhen, {
      isDraining: parts.isDraining(),
      hasConfig: applier.served !== null,
      listeningCount: workers.listeningCount,
      servingCount: workers.servingCount,
      outOfSyncMs: parts.sync()?.contact.outOfSyncMs ?? null,
      endpoints: () => parts.health.endpoints.counts(),
    });

  return {
    unmetConditions: unmet,
    async status() {
      const { served } = applier;
      const unmetNow = unmet();
      return {
        node_id: parts.nodeId,
        version: parts.version,
        started_at: new Date(parts.startedAtUnixMs).toISOString(),
        ready: unmetNow.length === 0,
        ready_when: parts.readyWhen.map(({ name }) => name),
        unmet_conditions: unmetNow,
        publication: served?.publication ?? null,
        revision: served?.revision ?? null,
        state_hash: served === null ? null : Buffer.from(served.stateHash).toString("hex"),
        control_plane: controlPlaneStatus(parts.sync(), served?.publication ?? 0),
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
        ready: unmet().length === 0 ? 1 : 0,
        publication: held,
        revision: applier.served?.revision ?? 0,
        control_plane_connected: syncState()?.connection === "connected" ? 1 : 0,
        control_plane_stale: isStale(syncState(), held) ? 1 : 0,
        ...contactGauges(parts.sync()),
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

function controlPlaneStatus(sync: Pick<SyncClient, "state" | "contact"> | null, heldPublication: number) {
  const state = sync?.state ?? null;
  const { silenceMs = null, outOfSyncMs = null } = sync?.contact ?? {};
  return {
    connected: state?.connection === "connected",
    address: state?.controlPlane ?? null,
    since: state === null ? null : new Date(state.sinceUnixMs).toISOString(),
    newest_publication: state?.newestPublication ?? null,
    stale: isStale(state, heldPublication),
    last_word_seconds: silenceMs === null ? null : seconds(silenceMs),
    out_of_sync_seconds: outOfSyncMs === null ? null : seconds(outOfSyncMs),
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

/** There is none before the first word, or before the node was first in sync. */
function contactGauges(sync: Pick<SyncClient, "contact"> | null): Record<string, number> {
  const { silenceMs = null, outOfSyncMs = null } = sync?.contact ?? {};
  return {
    ...(silenceMs === null ? {} : { control_plane_last_word_seconds: seconds(silenceMs) }),
    ...(outOfSyncMs === null ? {} : { out_of_sync_seconds: seconds(outOfSyncMs) }),
  };
}

function seconds(ms: number): number {
  return Math.round(ms) / 1_000;
}

/** Whether the control plane may have something that this node does not serve. */
function isStale(state: SyncState | null, heldPublication: number): boolean {
  return state?.connection !== "connected" || state.newestPublication > heldPublication;
}

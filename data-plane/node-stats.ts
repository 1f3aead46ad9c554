import type { HealthKeeper } from "./health-check/health-keeper.ts";
import type { StatsSource } from "./sync/stats-reports.ts";
import type { WorkerGroup } from "./worker-group.ts";

/** How the node does, for its control plane; worker by worker. */
export function nodeStats(parts: {
  readonly workers: Pick<WorkerGroup, "counters" | "views">;
  readonly counters: { readonly workers_lost: number };
  readonly health: { readonly endpoints: Pick<HealthKeeper["endpoints"], "counts"> };
}): StatsSource {
  return async () => {
    const counters = await parts.workers.counters();
    const { healthyCount, count } = parts.health.endpoints.counts();
    const counted = (name: string) => BigInt(counters[name] ?? 0);
    return {
      requestCount: counted("requests"),
      failureCount: counted("responses_5xx") + counted("responses_cut"),
      connectionCount: counted("connections_active"),
      endpointCount: count,
      healthyEndpointCount: healthyCount,
      workers: parts.workers.views().map((worker) => ({
        number: worker.number,
        role: worker.role,
        publication: BigInt(worker.publication),
        requestCount: BigInt(worker.counters["requests"] ?? 0),
        connectionCount: BigInt(worker.counters["connections_active"] ?? 0),
        heapBytes: BigInt(worker.heapBytes),
      })),
      lostWorkerCount: BigInt(parts.counters.workers_lost),
    };
  };
}

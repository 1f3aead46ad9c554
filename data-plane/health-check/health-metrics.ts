import { endpointsInUse } from "../balance/panic.ts";
import type { Metric } from "../status/metrics-text.ts";
import { ourMetric } from "../status/metrics-text.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { HealthView } from "./endpoint-health.ts";
import type { HealthKeeper } from "./health-keeper.ts";

/** @param seriesMax endpoints, and upstreams, with a series of their own; the others have none */
export function healthMetrics(keeper: HealthKeeper, table: EndpointTable, seriesMax: number): readonly Metric[] {
  // Endpoints of services' own hosts would be there once for each service.
  const views = keeper.endpoints.all().filter(({ upstreamId }) => upstreamId !== "");
  const pools = keeper.pools.filter(({ set }) => set.endpoints.length > 0).slice(0, seriesMax);
  return [
    {
      name: "penstock_endpoint_healthy",
      type: "gauge",
      help: "Whether the endpoint gets requests.",
      samples: views.slice(0, seriesMax).map(({ upstreamName, target, address, isHealthy }) => ({
        labels: [
          ["upstream", upstreamName],
          ["target", target],
          ["address", address],
        ],
        value: isHealthy ? 1 : 0,
      })),
    },
    {
      name: "penstock_upstream_panic",
      type: "gauge",
      help: "Whether too few of the upstream's endpoints are available.",
      samples: pools.map(({ plan, set }) => ({
        labels: [["upstream", plan.name]],
        value: endpointsInUse(set.endpoints, table, plan.resilience.panic).isPanic ? 1 : 0,
      })),
    },
    ourMetric("endpoints_unhealthy", "gauge", views.filter(({ isHealthy }) => !isHealthy).length),
    ourMetric("endpoint_transitions", "counter", keeper.endpoints.transitionCount),
    ourMetric("health_probers", "gauge", keeper.proberCount),
  ];
}

/** Whoever has more asks Prometheus, or the control plane. */
const pageMaxCount = 10_000;

/** What the node sees of each endpoint, for people. */
export function endpointsPage(keeper: HealthKeeper, table: EndpointTable): Readonly<Record<string, unknown>> {
  const views = keeper.endpoints.all();
  return { total: views.length, endpoints: views.slice(0, pageMaxCount).map((view) => pageEntry(view, table)) };
}

function pageEntry(view: HealthView, table: EndpointTable) {
  return {
    upstream: orNull(view.upstreamName),
    upstream_id: orNull(view.upstreamId),
    service_id: orNull(view.serviceId),
    target: view.target,
    target_id: orNull(view.targetId),
    address: orNull(view.address),
    weight: view.weight,
    healthy: view.isHealthy,
    source: orNull(view.source),
    reason: orNull(view.reason),
    since: new Date(view.sinceUnixMs).toISOString(),
    transitions: view.transitionCount,
    probe_successes: view.probeSuccesses,
    probe_failures: view.probeFailures,
    checked: view.isChecked,
    dns: view.dns,
    in_flight: view.row < 0 ? 0 : table.inFlight(view.row),
  };
}

function orNull(text: string): string | null {
  return text === "" ? null : text;
}

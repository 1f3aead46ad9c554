import type { EndpointView } from "./node-views.ts";

/** A merged state. "UNKNOWN": no node has reported. */
export type HealthState = "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "HEALTHCHECKS_OFF" | "DNS_ERROR";

export interface ConfiguredTarget {
  readonly id: string;
  /** host:port */
  readonly target: string;
  readonly weight: number;
}

/** What a node sees of an endpoint, with who it is. */
export interface NodeEndpointView {
  readonly nodeId: string;
  readonly hostname: string;
  readonly view: EndpointView;
}

export interface MergedEndpoint {
  /** ip:port; "" where no node could resolve the name. */
  readonly address: string;
  readonly state: HealthState;
  /** The most that any node gives it. */
  readonly weight: number;
  /** Nodes that send it requests, and nodes that report on it. */
  readonly healthyNodeCount: number;
  readonly reportingNodeCount: number;
  readonly views: readonly NodeEndpointView[];
}

export interface MergedTarget extends ConfiguredTarget {
  readonly state: HealthState;
  /** By address. */
  readonly endpoints: readonly MergedEndpoint[];
}

export interface MergedPool {
  readonly state: HealthState;
  /** In the order of those configured. */
  readonly targets: readonly MergedTarget[];
}

/** What a node could send to all endpoints, and what it does. */
export interface WeightSums {
  total: number;
  available: number;
}

/** @param views at least one */
export function mergeEndpoint(address: string, views: readonly NodeEndpointView[]): MergedEndpoint {
  const healthyNodeCount = views.filter(({ view }) => view.isHealthy).length;
  return {
    address,
    state: endpointState(address, views, healthyNodeCount),
    weight: views.reduce((most, { view }) => Math.max(most, view.weight), 0),
    healthyNodeCount,
    reportingNodeCount: views.length,
    views,
  };
}

function endpointState(address: string, views: readonly NodeEndpointView[], healthyNodeCount: number): HealthState {
  if (address === "") return "DNS_ERROR";
  if (healthyNodeCount === 0) return "UNHEALTHY";
  const isJudged = healthyNodeCount < views.length || views.some(({ view }) => view.isChecked);
  return isJudged ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

/** As Kong does: any healthy address makes a healthy target. One that a node could not resolve has no address there. */
export function targetState(endpoints: readonly MergedEndpoint[]): HealthState {
  if (endpoints.length === 0) return "UNKNOWN";
  const states = new Set(endpoints.filter(({ address }) => address !== "").map(({ state }) => state));
  if (states.size === 0) return "DNS_ERROR";
  if (states.has("HEALTHY")) return "HEALTHY";
  if (!states.has("HEALTHCHECKS_OFF")) return "UNHEALTHY";
  // Without checks, but some address is out by what it did to traffic.
  return states.has("UNHEALTHY") ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

/** @param sums of each node that reports, over the targets that get requests */
export function poolState(
  targets: readonly MergedTarget[],
  sums: readonly WeightSums[],
  thresholdPercent: number,
): HealthState {
  if (sums.length === 0) return "UNKNOWN";
  if (sums.every(({ total, available }) => total === 0 || (100 * available) / total <= thresholdPercent))
    return "UNHEALTHY";
  const isJudged = targets.some(({ weight, state }) => weight > 0 && state !== "HEALTHCHECKS_OFF");
  return isJudged ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

import type { EndpointView, NodePoolView } from "./node-views.ts";

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

/**
 * The health of an upstream, as all nodes together see it: something is unhealthy only if every node that reports on it
 * says so. No node is overruled: what each sees is told beside it, and each acts on its own view.
 *
 * @param thresholdPercent of the weight, at or below which a node's whole upstream is unhealthy
 */
export function mergeHealth(
  targets: readonly ConfiguredTarget[],
  nodes: readonly NodePoolView[],
  thresholdPercent: number,
): MergedPool {
  const byTarget = viewsByTarget(nodes);
  const merged = targets.map((target) => mergeTarget(target, byTarget.get(target.id) ?? new Map()));
  return { state: poolState(merged, thresholdPercent), targets: merged };
}

/** The health of one name without an upstream. */
export function mergeHost(nodes: readonly NodePoolView[]): Pick<MergedTarget, "state" | "endpoints"> {
  const endpoints = endpointsOf(viewsByTarget(nodes).get("") ?? new Map());
  return { state: targetState(endpoints), endpoints };
}

type ByAddress = ReadonlyMap<string, readonly NodeEndpointView[]>;

function viewsByTarget(nodes: readonly NodePoolView[]): ReadonlyMap<string, ByAddress> {
  const byTarget = new Map<string, Map<string, NodeEndpointView[]>>();
  for (const { nodeId, hostname, endpoints } of nodes) {
    for (const view of endpoints) {
      const byAddress = byTarget.get(view.targetId) ?? new Map<string, NodeEndpointView[]>();
      byTarget.set(view.targetId, byAddress);
      const views = byAddress.get(view.address) ?? [];
      byAddress.set(view.address, views);
      views.push({ nodeId, hostname, view });
    }
  }
  return byTarget;
}

function mergeTarget(target: ConfiguredTarget, byAddress: ByAddress): MergedTarget {
  const endpoints = endpointsOf(byAddress);
  return { ...target, endpoints, state: target.weight === 0 ? "HEALTHCHECKS_OFF" : targetState(endpoints) };
}

function endpointsOf(byAddress: ByAddress): readonly MergedEndpoint[] {
  return [...byAddress.entries()]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([address, views]) => {
      const healthyNodeCount = views.filter(({ view }) => view.isHealthy).length;
      return {
        address,
        state: endpointState(address, views, healthyNodeCount),
        weight: Math.max(...views.map(({ view }) => view.weight)),
        healthyNodeCount,
        reportingNodeCount: views.length,
        views,
      };
    });
}

function endpointState(address: string, views: readonly NodeEndpointView[], healthyNodeCount: number): HealthState {
  if (address === "") return "DNS_ERROR";
  if (healthyNodeCount === 0) return "UNHEALTHY";
  const isJudged = healthyNodeCount < views.length || views.some(({ view }) => view.isChecked);
  return isJudged ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

/** As Kong does: any healthy address makes a healthy target. One that a node could not resolve has no address there. */
function targetState(endpoints: readonly MergedEndpoint[]): HealthState {
  if (endpoints.length === 0) return "UNKNOWN";
  const states = new Set(endpoints.filter(({ address }) => address !== "").map(({ state }) => state));
  if (states.size === 0) return "DNS_ERROR";
  if (states.has("HEALTHY")) return "HEALTHY";
  if (!states.has("HEALTHCHECKS_OFF")) return "UNHEALTHY";
  // Without checks, but some address is out by what it did to traffic.
  return states.has("UNHEALTHY") ? "HEALTHY" : "HEALTHCHECKS_OFF";
}

/** Adds what each node could send to an endpoint, and what it does. */
function addWeights(weights: Map<string, WeightSums>, views: readonly NodeEndpointView[]): void {
  for (const { nodeId, view } of views) {
    const sums = weights.get(nodeId) ?? { total: 0, available: 0 };
    weights.set(nodeId, sums);
    sums.total += view.weight;
    if (view.isHealthy) sums.available += view.weight;
  }
}

interface WeightSums {
  total: number;
  available: number;
}

function poolState(targets: readonly MergedTarget[], thresholdPercent: number): HealthState {
  const receiving = targets.filter(({ weight }) => weight > 0);
  const weights = new Map<string, WeightSums>();
  for (const { endpoints } of receiving) for (const { views } of endpoints) addWeights(weights, views);
  if (weights.size === 0) return "UNKNOWN";
  const sums = [...weights.values()];
  if (sums.every(({ total, available }) => total === 0 || (100 * available) / total <= thresholdPercent))
    return "UNHEALTHY";
  return receiving.every(({ state }) => state === "HEALTHCHECKS_OFF") ? "HEALTHCHECKS_OFF" : "HEALTHY";
}

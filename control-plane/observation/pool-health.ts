import {
  type ConfiguredTarget,
  type MergedEndpoint,
  type MergedPool,
  type MergedTarget,
  mergeEndpoint,
  type NodeEndpointView,
  poolState,
  targetState,
  type WeightSums,
} from "./merge-health.ts";

/** What all nodes see of one endpoint. */
export interface EndpointViews {
  readonly target: TargetViews;
  /** ip:port; "" where a node could not resolve the name. */
  readonly address: string;
  /** By node; never changed in place, since it is told. */
  views: readonly NodeEndpointView[];
  /** null: something has changed since it was merged. */
  merged: MergedEndpoint | null;
}

interface TargetViews {
  readonly id: string;
  readonly endpoints: Map<string, EndpointViews>;
  /** null: something has changed since it was merged. */
  merged: MergedTarget | null;
  /** Whether it gets requests, and its weights are in the sums. */
  isCounted: boolean;
  /** The merge that last met it. */
  metBy: number;
}

interface NodeSums extends WeightSums {
  viewCount: number;
}

/**
 * What all nodes see of the endpoints of one pool, merged. What has not changed is not merged again: a change costs
 * what its endpoint is, with a comparison for each target; 1,000 endpoints seen by 100 nodes cost the first reader only.
 */
export class PoolHealth {
  readonly #targets = new Map<string, TargetViews>();
  /** Of each node, over the targets that get requests. */
  readonly #sums = new Map<string, NodeSums>();
  readonly #counted = new Set<TargetViews>();
  #mergeCount = 0;

  get isEmpty(): boolean {
    return this.#targets.size === 0;
  }

  /** All views, in no particular order. */
  *views(): Iterable<NodeEndpointView> {
    for (const { endpoints } of this.#targets.values()) for (const { views } of endpoints.values()) yield* views;
  }

  has(nodeId: string, targetId: string, address: string): boolean {
    const views = this.find(targetId, address)?.views;
    return views !== undefined && views[indexOf(views, nodeId)]?.nodeId === nodeId;
  }

  find(targetId: string, address: string): EndpointViews | null {
    return this.#targets.get(targetId)?.endpoints.get(address) ?? null;
  }

  /** Takes a node's view in the place of its last one. */
  set(told: NodeEndpointView): EndpointViews {
    const endpoint = this.#endpointOf(told.view.targetId, told.view.address);
    const at = indexOf(endpoint.views, told.nodeId);
    const last = endpoint.views[at];
    const isKnown = last?.nodeId === told.nodeId;
    endpoint.views = endpoint.views.toSpliced(at, isKnown ? 1 : 0, told);
    if (endpoint.target.isCounted) {
      if (isKnown) this.#subtract(last);
      this.#add(told);
    }
    markChanged(endpoint);
    return endpoint;
  }

  /** Forgets what a node sees of an endpoint, which it does see. */
  delete(nodeId: string, endpoint: EndpointViews): void {
    const { target, address, views } = endpoint;
    const at = indexOf(views, nodeId);
    if (target.isCounted) this.#subtract(views[at]!);
    endpoint.views = views.toSpliced(at, 1);
    markChanged(endpoint);
    if (endpoint.views.length > 0) return;
    target.endpoints.delete(address);
    if (target.endpoints.size > 0) return;
    this.#targets.delete(target.id);
    this.#counted.delete(target);
  }

  /**
   * The health of an upstream, as all nodes together see it: something is unhealthy only if every node that reports on
   * it says so. No node is overruled: what each sees is told beside it, and each acts on its own view.
   *
   * @param thresholdPercent of the weight, at or below which a node's whole upstream is unhealthy
   */
  merge(targets: readonly ConfiguredTarget[], thresholdPercent: number): MergedPool {
    this.#mergeCount++;
    const merged = targets.map((target) => this.#mergeTarget(target));
    for (const target of this.#counted) if (target.metBy !== this.#mergeCount) this.#count(target, false);
    return { state: poolState(merged, [...this.#sums.values()], thresholdPercent), targets: merged };
  }

  /** The health of one name without an upstream. */
  mergeHost(): Pick<MergedTarget, "state" | "endpoints"> {
    const endpoints = endpointsOf(this.#targets.get(""));
    return { state: targetState(endpoints), endpoints };
  }

  #mergeTarget(configured: ConfiguredTarget): MergedTarget {
    const target = this.#targets.get(configured.id);
    if (target === undefined) return mergedTarget(configured, []);
    target.metBy = this.#mergeCount;
    this.#count(target, configured.weight > 0);
    const { merged } = target;
    if (merged !== null && merged.weight === configured.weight && merged.target === configured.target) return merged;
    target.merged = mergedTarget(configured, endpointsOf(target));
    return target.merged;
  }

  #endpointOf(targetId: string, address: string): EndpointViews {
    const target = this.#targets.get(targetId) ?? newTarget(targetId);
    this.#targets.set(targetId, target);
    const endpoint = target.endpoints.get(address) ?? { target, address, views: [], merged: null };
    target.endpoints.set(address, endpoint);
    return endpoint;
  }

  #count(target: TargetViews, isCounted: boolean): void {
    if (target.isCounted === isCounted) return;
    target.isCounted = isCounted;
    if (isCounted) this.#counted.add(target);
    else this.#counted.delete(target);
    for (const { views } of target.endpoints.values()) {
      for (const told of views) {
        if (isCounted) this.#add(told);
        else this.#subtract(told);
      }
    }
  }

  #add({ nodeId, view }: NodeEndpointView): void {
    const sums = this.#sums.get(nodeId) ?? { total: 0, available: 0, viewCount: 0 };
    this.#sums.set(nodeId, sums);
    sums.viewCount++;
    sums.total += view.weight;
    if (view.isHealthy) sums.available += view.weight;
  }

  #subtract({ nodeId, view }: NodeEndpointView): void {
    const sums = this.#sums.get(nodeId)!;
    sums.total -= view.weight;
    if (view.isHealthy) sums.available -= view.weight;
    if (--sums.viewCount === 0) this.#sums.delete(nodeId);
  }
}

function newTarget(id: string): TargetViews {
  return { id, endpoints: new Map(), merged: null, isCounted: false, metBy: 0 };
}

function markChanged(endpoint: EndpointViews): void {
  endpoint.merged = null;
  endpoint.target.merged = null;
}

function mergedTarget(configured: ConfiguredTarget, endpoints: readonly MergedEndpoint[]): MergedTarget {
  const state = configured.weight === 0 ? "HEALTHCHECKS_OFF" : targetState(endpoints);
  return { ...configured, endpoints, state };
}

function endpointsOf(target: TargetViews | undefined): readonly MergedEndpoint[] {
  if (target === undefined) return [];
  const merged = [...target.endpoints.values()].map((endpoint) => {
    endpoint.merged ??= mergeEndpoint(endpoint.address, endpoint.views);
    return endpoint.merged;
  });
  return merged.sort((left, right) => (left.address < right.address ? -1 : 1));
}

/** Where the node is among them, or would be. */
function indexOf(views: readonly NodeEndpointView[], nodeId: string): number {
  let [low, high] = [0, views.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (views[middle]!.nodeId < nodeId) low = middle + 1;
    else high = middle;
  }
  return low;
}

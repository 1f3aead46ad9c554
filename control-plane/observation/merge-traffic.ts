import { type TrafficFigures, TrafficSum } from "./traffic-sum.ts";
import type { NodeTrafficView } from "./traffic-views.ts";

/** What requests meet, as one node sees it. */
export interface NodeFigures {
  readonly nodeId: string;
  readonly hostname: string;
  readonly figures: TrafficFigures;
}

export interface MergedEndpointTraffic {
  readonly total: TrafficFigures;
  /** Of each node that sent it something, by node; empty where nobody asked. */
  readonly nodes: readonly NodeFigures[];
}

export interface MergedTargetTraffic {
  readonly total: TrafficFigures;
  /** By address. */
  readonly endpoints: ReadonlyMap<string, MergedEndpointTraffic>;
}

export interface MergedTraffic {
  readonly total: TrafficFigures;
  /** As of an endpoint. */
  readonly nodes: readonly NodeFigures[];
  /** By target. */
  readonly targets: ReadonlyMap<string, MergedTargetTraffic>;
}

interface EndpointSum {
  readonly sum: TrafficSum;
  readonly nodes: NodeFigures[];
}

/**
 * The traffic of an upstream over all nodes.
 *
 * Cost: some 2 us for each endpoint of each node, 8 us by node.
 * @param byNode whether to tell of each node as well
 */
export function mergeTraffic(nodes: readonly NodeTrafficView[], byNode: boolean): MergedTraffic {
  const total = new TrafficSum();
  const targets = new Map<string, { readonly sum: TrafficSum; readonly endpoints: Map<string, EndpointSum> }>();
  const nodeFigures: NodeFigures[] = [];
  for (const { nodeId, hostname, endpoints } of nodes) {
    const ofNode = new TrafficSum();
    for (const view of endpoints) {
      const target = targets.get(view.targetId) ?? { sum: new TrafficSum(), endpoints: new Map() };
      targets.set(view.targetId, target);
      const endpoint: EndpointSum = target.endpoints.get(view.address) ?? { sum: new TrafficSum(), nodes: [] };
      target.endpoints.set(view.address, endpoint);
      for (const sum of [total, ofNode, target.sum, endpoint.sum]) sum.add(view);
      if (!byNode) continue;
      const ofBoth = new TrafficSum();
      ofBoth.add(view);
      endpoint.nodes.push({ nodeId, hostname, figures: ofBoth.figures() });
    }
    if (byNode) nodeFigures.push({ nodeId, hostname, figures: ofNode.figures() });
  }
  const merged = new Map<string, MergedTargetTraffic>();
  for (const [targetId, { sum, endpoints }] of targets) {
    const byAddress = [...endpoints].map(([address, one]) => [address, { ...one, total: one.sum.figures() }] as const);
    merged.set(targetId, { total: sum.figures(), endpoints: new Map(byAddress) });
  }
  return { total: total.figures(), nodes: nodeFigures, targets: merged };
}

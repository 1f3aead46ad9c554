import type { HealthState } from "../observation/merge-health.ts";
import type { MergedEndpointTraffic, NodeFigures } from "../observation/merge-traffic.ts";
import type { TrafficMerges } from "../observation/traffic-merges.ts";
import { type TrafficFigures, TrafficSum } from "../observation/traffic-sum.ts";
import type { Checked } from "../resource/checked.ts";
import type { HealthReader } from "./upstream-health.ts";

export interface UpstreamTraffic {
  readonly id: string;
  readonly name: string;
  readonly state: HealthState;
  readonly total: TrafficFigures;
  /** Nodes that have sent requests there. */
  readonly nodeCount: number;
  /** By node; empty unless that was asked for. */
  readonly nodes: readonly NodeFigures[];
  /** Those configured, newest first, then such as have requests under way only. */
  readonly targets: readonly TargetTraffic[];
}

export interface TargetTraffic {
  readonly id: string;
  /** host:port as configured; "" of one that was removed. */
  readonly target: string;
  readonly weight: number;
  readonly state: HealthState;
  readonly total: TrafficFigures;
  /** By address. */
  readonly endpoints: readonly EndpointTraffic[];
}

export interface EndpointTraffic extends MergedEndpointTraffic {
  /** ip:port */
  readonly address: string;
  readonly state: HealthState;
}

/** What requests meet, beside what is configured and how healthy it is. */
export interface TrafficReader {
  /** By id or name; not_found. */
  upstream(key: string, byNode: boolean): Checked<UpstreamTraffic>;
}

const noTraffic: TrafficFigures = new TrafficSum().figures();

export function trafficReader(health: HealthReader, merges: Pick<TrafficMerges, "ofUpstream">): TrafficReader {
  return {
    upstream(key, byNode) {
      const found = health.upstream(key);
      if (!found.ok) return found;
      const { id, name, merged } = found.value;
      const { merged: seen, nodeCount } = merges.ofUpstream(id, byNode);
      const configured = merged.targets.map((target): TargetTraffic => {
        const { id: targetId, target: place, weight, state } = target;
        const states = new Map(target.endpoints.map((endpoint) => [endpoint.address, endpoint.state]));
        // Of a name without address nothing is sent anywhere.
        states.delete("");
        const own = seen.targets.get(targetId);
        const endpoints = endpointsOf(own?.endpoints ?? new Map(), states);
        return { id: targetId, target: place, weight, state, total: own?.total ?? noTraffic, endpoints };
      });
      const known = new Set(configured.map((target) => target.id));
      const removed = [...seen.targets]
        .filter(([targetId]) => !known.has(targetId))
        .map(([targetId, { total, endpoints }]): TargetTraffic => {
          const facts = { id: targetId, target: "", weight: 0, state: "UNKNOWN" } as const;
          return { ...facts, total, endpoints: endpointsOf(endpoints, new Map()) };
        });
      const { total, nodes } = seen;
      const targets = [...configured, ...removed];
      return { ok: true, value: { id, name, state: merged.state, total, nodeCount, nodes, targets } };
    },
  };
}

/** Those that were sent something, and those that the nodes know of. */
function endpointsOf(
  seen: ReadonlyMap<string, MergedEndpointTraffic>,
  states: ReadonlyMap<string, HealthState>,
): readonly EndpointTraffic[] {
  return [...new Set([...seen.keys(), ...states.keys()])].sort().map((address) => {
    const { total, nodes } = seen.get(address) ?? { total: noTraffic, nodes: [] };
    return { address, state: states.get(address) ?? "UNKNOWN", total, nodes };
  });
}

import type { Observation, Observations } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { normalizeEndpointAddress } from "../resource/endpoint-address.ts";
import type { NodeEndpointView } from "./merge-health.ts";
import { type EndpointViews, PoolHealth } from "./pool-health.ts";
import { toldCount, toldText, toldTimeMs } from "./told-values.ts";

/** What one node sees of one endpoint. */
export interface EndpointView {
  /** Empty where the endpoint belongs to a service without upstream. */
  readonly targetId: string;
  /** ip:port in the form of endpoint-address.ts; "" where the name has no address. */
  readonly address: string;
  readonly isHealthy: boolean;
  readonly source: string;
  readonly reason: string;
  readonly sinceUnixMs: number;
  readonly weight: number;
  readonly transitionCount: number;
  readonly probeSuccesses: number;
  readonly probeFailures: number;
  readonly isChecked: boolean;
  readonly dns: string;
}

export interface NodeViewsOptions {
  /** Calls `run` once after the delay; returns the way to prevent that. */
  readonly clock: { after(delayMs: number, run: () => void): () => void };
  /** How long the views of a node count whose stream is closed. */
  readonly graceMs: number;
  /** Of all nodes together, half of them of services' hosts; further ones are not kept. */
  readonly viewMaxCount: number;
  /** Called at the first view that is not kept, and again only after there was room. */
  readonly onFull: () => void;
}

interface NodeState {
  hostname: string;
  /** What it sees, by pool. No empty set stays. */
  readonly pools: Map<string, Set<EndpointViews>>;
  stopGrace: () => void;
}

type Listener = (pools: ReadonlySet<string>) => void;

/** Longest texts that are kept of a view: a node may be anyone. */
const reasonMaxLength = 500;
const dnsMaxLength = 200;
const sourceMaxLength = 32;
const idMaxLength = 64;

const servicePrefix = "service:";

/** The pool of an upstream. */
export function upstreamPool(upstreamId: string): string {
  return upstreamId;
}

/** The pool of a service whose host is no upstream's name. */
export function servicePool(serviceId: string): string {
  return `${servicePrefix}${serviceId}`;
}

/**
 * What each node says that it sees of its endpoints, until its stream has been closed for a while: a node that
 * reconnects says all of it anew.
 */
export class NodeViews {
  readonly #options: NodeViewsOptions;
  readonly #nodes = new Map<string, NodeState>();
  /** What all nodes see. No empty pool stays. */
  readonly #pools = new Map<string, PoolHealth>();
  readonly #listeners = new Set<Listener>();
  #viewCount = 0;
  #isFull = false;

  constructor(options: NodeViewsOptions) {
    this.#options = options;
  }

  /** Views kept, of all nodes. */
  get viewCount(): number {
    return this.#viewCount;
  }

  /** A node's stream is open. */
  connected(nodeId: string, hostname: string): void {
    const known = this.#nodes.get(nodeId);
    known?.stopGrace();
    if (known === undefined) this.#nodes.set(nodeId, { hostname, pools: new Map(), stopGrace: () => {} });
    else if (known.hostname !== hostname) this.#rename(nodeId, known, hostname);
  }

  /** A node's stream is closed. */
  disconnected(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    node.stopGrace();
    node.stopGrace = this.#options.clock.after(this.#options.graceMs, () => {
      this.#nodes.delete(nodeId);
      this.#tell(this.#clear(nodeId, node));
    });
  }

  /** Takes what a node says; of one that is not connected nothing is kept. */
  take(nodeId: string, { observations, isStartOfAll }: Observations): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    const changed = isStartOfAll ? this.#clear(nodeId, node) : new Set<string>();
    for (const observation of observations) {
      const pool = poolOf(observation);
      const address = observation.address === "" ? "" : normalizeEndpointAddress(observation.address);
      // Of another version of the protocol, or nonsense.
      if (pool === null || address === null) continue;
      if (observation.gone) this.#forget(nodeId, pool, observation.targetId, address);
      else this.#keep(pool, { nodeId, hostname: node.hostname, view: viewOf(observation, address) });
      changed.add(pool);
    }
    this.#tell(changed);
  }

  /** What all nodes see of a pool; to be read in one go. */
  ofPool(pool: string): PoolHealth {
    return this.#pools.get(pool) ?? new PoolHealth();
  }

  /** Calls the listener with the pools of which a node sees something new; returns the way to stop that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets everything, and no timer is left. */
  close(): void {
    for (const node of this.#nodes.values()) node.stopGrace();
    this.#nodes.clear();
    this.#pools.clear();
    this.#viewCount = 0;
  }

  #keep(pool: string, told: NodeEndpointView): void {
    const { targetId, address } = told.view;
    const health = this.ofPool(pool);
    if (!health.has(told.nodeId, targetId, address)) {
      if (this.#viewCount >= this.#maxCountFor(pool)) {
        if (!this.#isFull) this.#options.onFull();
        this.#isFull = true;
        return;
      }
      this.#viewCount++;
    }
    const endpoint = health.set(told);
    this.#pools.set(pool, health);
    const { pools } = this.#nodes.get(told.nodeId)!;
    const seen = pools.get(pool);
    if (seen === undefined) pools.set(pool, new Set([endpoint]));
    else seen.add(endpoint);
  }

  /** Hosts of services, which there may be very many of, leave half of the room to the targets of upstreams. */
  #maxCountFor(pool: string): number {
    const { viewMaxCount } = this.#options;
    return pool.startsWith(servicePrefix) ? viewMaxCount / 2 : viewMaxCount;
  }

  #forget(nodeId: string, pool: string, targetId: string, address: string): void {
    const { pools } = this.#nodes.get(nodeId)!;
    const endpoint = this.ofPool(pool).find(targetId, address);
    const seen = pools.get(pool);
    if (endpoint === null || seen?.delete(endpoint) !== true) return;
    this.#letGo(nodeId, pool, [endpoint]);
    if (seen.size === 0) pools.delete(pool);
  }

  /** Returns the pools that it saw. */
  #clear(nodeId: string, node: NodeState): Set<string> {
    const pools = new Set(node.pools.keys());
    for (const [pool, seen] of node.pools) this.#letGo(nodeId, pool, seen);
    node.pools.clear();
    return pools;
  }

  #letGo(nodeId: string, pool: string, seen: Iterable<EndpointViews>): void {
    const health = this.#pools.get(pool)!;
    let count = 0;
    for (const endpoint of seen) {
      health.delete(nodeId, endpoint);
      count++;
    }
    if (health.isEmpty) this.#pools.delete(pool);
    this.#gaveUp(count);
  }

  /** The machine is called otherwise by now. */
  #rename(nodeId: string, node: NodeState, hostname: string): void {
    node.hostname = hostname;
    for (const [pool, seen] of node.pools) {
      const health = this.#pools.get(pool)!;
      for (const { views } of seen) {
        const { view } = views.find((one) => one.nodeId === nodeId)!;
        health.set({ nodeId, hostname, view });
      }
    }
  }

  #gaveUp(count: number): void {
    this.#viewCount -= count;
    if (count > 0) this.#isFull = false;
  }

  #tell(pools: ReadonlySet<string>): void {
    if (pools.size > 0) for (const listener of this.#listeners) listener(pools);
  }
}

function poolOf({ upstreamId, targetId, serviceId, address }: Observation): string | null {
  // An address is longer only by zeros before its port.
  if ([upstreamId, targetId, serviceId, address].some(({ length }) => length > idMaxLength)) return null;
  if (upstreamId !== "") return upstreamPool(upstreamId);
  return serviceId === "" ? null : servicePool(serviceId);
}

function viewOf(observation: Observation, address: string): EndpointView {
  return {
    targetId: observation.targetId,
    address,
    isHealthy: observation.healthy,
    source: toldText(observation.source, sourceMaxLength),
    reason: toldText(observation.reason, reasonMaxLength),
    sinceUnixMs: toldTimeMs(observation.sinceUnixMs),
    weight: Math.max(0, observation.weight),
    transitionCount: toldCount(observation.transitionCount),
    probeSuccesses: toldCount(observation.probeSuccesses),
    probeFailures: toldCount(observation.probeFailures),
    isChecked: observation.isChecked,
    dns: toldText(observation.dns, dnsMaxLength),
  };
}

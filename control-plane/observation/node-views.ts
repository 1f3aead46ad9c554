import type { Observation, Observations } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { normalizeEndpointAddress } from "../resource/endpoint-address.ts";

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

/** What one node sees of a pool. */
export interface NodePoolView {
  readonly nodeId: string;
  readonly hostname: string;
  readonly endpoints: Iterable<EndpointView>;
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
  /** By pool, then by target and address. No empty map stays. */
  readonly pools: Map<string, Map<string, EndpointView>>;
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
    else known.hostname = hostname;
  }

  /** A node's stream is closed. */
  disconnected(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    node.stopGrace();
    node.stopGrace = this.#options.clock.after(this.#options.graceMs, () => {
      this.#nodes.delete(nodeId);
      this.#tell(this.#clear(node));
    });
  }

  /** Takes what a node says; of one that is not connected nothing is kept. */
  take(nodeId: string, { observations, isStartOfAll }: Observations): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    const changed = isStartOfAll ? this.#clear(node) : new Set<string>();
    for (const observation of observations) {
      const pool = poolOf(observation);
      const address = observation.address === "" ? "" : normalizeEndpointAddress(observation.address);
      // Of another version of the protocol, or nonsense.
      if (pool === null || address === null) continue;
      if (observation.gone) this.#forget(node, pool, keyOf(observation.targetId, address));
      else this.#keep(node, pool, viewOf(observation, address));
      changed.add(pool);
    }
    this.#tell(changed);
  }

  /** Of each node that sees a pool, what it sees; ordered by node. To be read in one go. */
  ofPool(pool: string): readonly NodePoolView[] {
    const views: NodePoolView[] = [];
    for (const [nodeId, { hostname, pools }] of this.#nodes) {
      const endpoints = pools.get(pool);
      if (endpoints !== undefined) views.push({ nodeId, hostname, endpoints: endpoints.values() });
    }
    return views.sort((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
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
    this.#viewCount = 0;
  }

  #keep(node: NodeState, pool: string, view: EndpointView): void {
    const key = keyOf(view.targetId, view.address);
    const known = node.pools.get(pool);
    if (known?.has(key) !== true) {
      if (this.#viewCount >= this.#maxCountFor(pool)) {
        if (!this.#isFull) this.#options.onFull();
        this.#isFull = true;
        return;
      }
      this.#viewCount++;
    }
    if (known === undefined) node.pools.set(pool, new Map([[key, view]]));
    else known.set(key, view);
  }

  /** Hosts of services, which there may be very many of, leave half of the room to the targets of upstreams. */
  #maxCountFor(pool: string): number {
    const { viewMaxCount } = this.#options;
    return pool.startsWith(servicePrefix) ? viewMaxCount / 2 : viewMaxCount;
  }

  #forget(node: NodeState, pool: string, key: string): void {
    const endpoints = node.pools.get(pool);
    if (endpoints?.delete(key) !== true) return;
    this.#gaveUp(1);
    if (endpoints.size === 0) node.pools.delete(pool);
  }

  /** Returns the pools that it saw. */
  #clear(node: NodeState): Set<string> {
    const pools = new Set(node.pools.keys());
    for (const endpoints of node.pools.values()) this.#gaveUp(endpoints.size);
    node.pools.clear();
    return pools;
  }

  #gaveUp(count: number): void {
    this.#viewCount -= count;
    if (count > 0) this.#isFull = false;
  }

  #tell(pools: ReadonlySet<string>): void {
    if (pools.size > 0) for (const listener of this.#listeners) listener(pools);
  }
}

function poolOf({ upstreamId, targetId, serviceId }: Observation): string | null {
  if ([upstreamId, targetId, serviceId].some((id) => id.length > idMaxLength)) return null;
  if (upstreamId !== "") return upstreamPool(upstreamId);
  return serviceId === "" ? null : servicePool(serviceId);
}

function keyOf(targetId: string, address: string): string {
  return `${targetId} ${address}`;
}

function viewOf(observation: Observation, address: string): EndpointView {
  return {
    targetId: observation.targetId,
    address,
    isHealthy: observation.healthy,
    source: observation.source.slice(0, sourceMaxLength),
    reason: observation.reason.slice(0, reasonMaxLength).toWellFormed(),
    sinceUnixMs: inRange(observation.sinceUnixMs),
    weight: Math.max(0, observation.weight),
    transitionCount: inRange(observation.transitionCount),
    probeSuccesses: inRange(observation.probeSuccesses),
    probeFailures: inRange(observation.probeFailures),
    isChecked: observation.isChecked,
    dns: observation.dns.slice(0, dnsMaxLength).toWellFormed(),
  };
}

/** Latest time that a date can be: a count of a node's cannot make an answer unprintable. */
const dateMaxMs = 8.64e15;

function inRange(count: bigint): number {
  return Math.min(Math.max(0, Number(count)), dateMaxMs);
}

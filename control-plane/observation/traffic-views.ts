import type { EndpointTraffic, TrafficReport } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { latencyBucketCount } from "../../proto/latency-buckets.ts";
import { normalizeEndpointAddress } from "../resource/endpoint-address.ts";
import { toldCount, toldDurationMs } from "./told-values.ts";

/** What requests met at an endpoint of one node, since the node knows it. */
export interface TrafficCounts {
  readonly requests: number;
  readonly answers: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
  readonly losses: number;
  readonly ejections: number;
}

/** What one node says of the requests that it sends to one endpoint. */
export interface EndpointTrafficView {
  readonly targetId: string;
  /** ip:port in the form of endpoint-address.ts. */
  readonly address: string;
  readonly counts: TrafficCounts;
  readonly inFlight: number;
  /** What happened in the node's last interval; null where nothing did, or where there is none to measure by. */
  readonly recent: RecentTraffic | null;
  readonly ejectionsLastMinute: number;
}

export interface RecentTraffic {
  readonly intervalMs: number;
  readonly requests: number;
  /** Answers of 500 or more, and losses. */
  readonly errors: number;
  /** Buckets of latency-buckets.ts, and how many answers are in each. */
  readonly latencyBuckets: readonly number[];
  readonly latencyCounts: readonly number[];
}

/** What one node says of an upstream. */
export interface NodeTrafficView {
  readonly nodeId: string;
  readonly hostname: string;
  readonly endpoints: readonly EndpointTrafficView[];
}

export interface TrafficViewsOptions {
  readonly clock: { monotonicMs(): number };
  /** Endpoints of all nodes together; some 850 bytes each, and at most 2,200. Further ones are not kept. */
  readonly viewMaxCount: number;
  /** Called at the first endpoint that is not kept, and again only after there was room. */
  readonly onFull: () => void;
}

interface Kept {
  readonly targetId: string;
  readonly address: string;
  counts: TrafficCounts;
  inFlight: number;
  recent: RecentTraffic | null;
  /** The look that `recent` is of: it is over as soon as the node has looked again. */
  look: number;
  /** When the endpoint was taken out, and how often; of the last minute. */
  ejections: readonly { readonly atMs: number; readonly count: number }[];
}

interface NodeState {
  readonly hostname: string;
  /** By upstream, then by target and address. No empty map stays. */
  readonly upstreams: Map<string, Map<string, Kept>>;
  look: number;
  /** Upstreams that the newest look tells of, as far as anything of them is kept: a node may be anyone. */
  readonly moving: Set<string>;
}

type Listener = (upstreams: ReadonlySet<string>) => void;

const minuteMs = 60_000;
/** Of ids, and of addresses, which are shorter but for zeros before a port: the text as it came is a key. */
const keyMaxLength = 64;
const noCounts: TrafficCounts = {
  requests: 0,
  answers: 0,
  clientErrors: 0,
  serverErrors: 0,
  losses: 0,
  ejections: 0,
};

/**
 * What each connected node says of the traffic at its endpoints. A node whose stream has ended is forgotten at once, since
 * what it carries now is not known; it tells all of it anew when it is back.
 *
 * Cost: what a report names and nothing else; merging is for those who ask (merge-traffic.ts).
 */
export class TrafficViews {
  readonly #options: TrafficViewsOptions;
  readonly #nodes = new Map<string, NodeState>();
  readonly #listeners = new Set<Listener>();
  #viewCount = 0;
  #isFull = false;

  constructor(options: TrafficViewsOptions) {
    this.#options = options;
  }

  /** Endpoints kept, of all nodes. */
  get viewCount(): number {
    return this.#viewCount;
  }

  /** A node's stream is open. */
  connected(nodeId: string, hostname: string): void {
    this.disconnected(nodeId);
    this.#nodes.set(nodeId, { hostname, upstreams: new Map(), look: 0, moving: new Set() });
  }

  /** A node's stream is closed. */
  disconnected(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    this.#nodes.delete(nodeId);
    this.#tell(this.#clear(node));
  }

  /** Takes what a node says; of one that is not connected nothing is kept. */
  take(nodeId: string, report: TrafficReport): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    const changed = report.isStartOfAll ? this.#clear(node) : new Set<string>();
    const look = Number(report.look);
    if (look !== node.look) {
      for (const upstream of node.moving) changed.add(upstream);
      node.moving.clear();
      node.look = look;
    }
    const intervalMs = toldDurationMs(report.interval);
    for (const told of report.endpoints) {
      const { upstreamId, targetId, address } = told;
      if (upstreamId === "" || [upstreamId, targetId, address].some(({ length }) => length > keyMaxLength)) continue;
      if (told.gone ? this.#forget(node, told) : this.#keep(node, told, intervalMs)) changed.add(upstreamId);
    }
    this.#tell(changed);
  }

  /** Of each node that says something of an upstream, what it says; ordered by node. */
  ofUpstream(upstreamId: string): readonly NodeTrafficView[] {
    const views: NodeTrafficView[] = [];
    for (const [nodeId, node] of this.#nodes) {
      const endpoints = node.upstreams.get(upstreamId);
      if (endpoints === undefined) continue;
      views.push({
        nodeId,
        hostname: node.hostname,
        endpoints: [...endpoints.values()].map((kept) => this.#view(kept, node)),
      });
    }
    return views.sort((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
  }

  /** Calls the listener with the upstreams of which a node says something new; returns the way to stop that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #view(kept: Kept, { look }: NodeState): EndpointTrafficView {
    const { targetId, address, counts, inFlight } = kept;
    const sinceMs = this.#options.clock.monotonicMs() - minuteMs;
    let ejectionsLastMinute = 0;
    for (const { atMs, count } of kept.ejections) if (atMs > sinceMs) ejectionsLastMinute += count;
    return {
      targetId,
      address,
      counts,
      inFlight,
      recent: kept.look === look ? kept.recent : null,
      ejectionsLastMinute,
    };
  }

  /** Whether there was room for it. */
  #keep(node: NodeState, told: EndpointTraffic, intervalMs: number): boolean {
    const key = keyOf(told);
    const endpoints = node.upstreams.get(told.upstreamId);
    const kept = endpoints?.get(key) ?? this.#begin(node, told, key);
    if (kept === null) return false;
    node.moving.add(told.upstreamId);
    const counts = countsOf(told);
    // Of a node that counts from 0 again.
    const before = counts.requests < kept.counts.requests ? noCounts : kept.counts;
    kept.counts = counts;
    kept.inFlight = Math.max(0, told.inFlight);
    kept.look = node.look;
    kept.recent = intervalMs > 0 ? recentOf(told, counts, before, intervalMs) : null;
    const ejections = counts.ejections - before.ejections;
    if (ejections > 0 && intervalMs > 0) this.#noteEjections(kept, ejections);
    return true;
  }

  /** null: there is no room, or its address is none. */
  #begin(node: NodeState, told: EndpointTraffic, key: string): Kept | null {
    const address = normalizeEndpointAddress(told.address);
    if (address === null) return null;
    if (this.#viewCount >= this.#options.viewMaxCount) {
      if (!this.#isFull) this.#options.onFull();
      this.#isFull = true;
      return null;
    }
    this.#viewCount++;
    const { upstreamId, targetId } = told;
    const kept = { targetId, address, counts: noCounts, inFlight: 0, recent: null, look: 0, ejections: [] };
    const endpoints = node.upstreams.get(upstreamId);
    if (endpoints === undefined) node.upstreams.set(upstreamId, new Map([[key, kept]]));
    else endpoints.set(key, kept);
    return kept;
  }

  #noteEjections(kept: Kept, count: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    const recent = kept.ejections.filter(({ atMs }) => atMs > nowMs - minuteMs);
    // A node that tells faster than nodes do makes no longer list than others.
    const last = recent.at(-1);
    if (last !== undefined && nowMs - last.atMs < 1_000)
      recent[recent.length - 1] = { ...last, count: last.count + count };
    else recent.push({ atMs: nowMs, count });
    kept.ejections = recent;
  }

  /** Whether it was kept. */
  #forget(node: NodeState, told: EndpointTraffic): boolean {
    const { upstreamId } = told;
    const endpoints = node.upstreams.get(upstreamId);
    if (endpoints?.delete(keyOf(told)) !== true) return false;
    this.#gaveUp(1);
    if (endpoints.size > 0) return true;
    node.upstreams.delete(upstreamId);
    // Nothing is left of it that could become quiet.
    node.moving.delete(upstreamId);
    return true;
  }

  /** Returns the upstreams that it told of. */
  #clear(node: NodeState): Set<string> {
    const upstreams = new Set(node.upstreams.keys());
    for (const endpoints of node.upstreams.values()) this.#gaveUp(endpoints.size);
    node.upstreams.clear();
    node.moving.clear();
    return upstreams;
  }

  #gaveUp(count: number): void {
    this.#viewCount -= count;
    if (count > 0) this.#isFull = false;
  }

  #tell(upstreams: ReadonlySet<string>): void {
    if (upstreams.size > 0) for (const listener of this.#listeners) listener(upstreams);
  }
}

function keyOf({ targetId, address }: EndpointTraffic): string {
  return `${targetId} ${address}`;
}

function countsOf(told: EndpointTraffic): TrafficCounts {
  return {
    requests: toldCount(told.requestCount),
    answers: toldCount(told.answerCount),
    clientErrors: toldCount(told.clientErrorCount),
    serverErrors: toldCount(told.serverErrorCount),
    losses: toldCount(told.lossCount),
    ejections: toldCount(told.ejectionCount),
  };
}

function recentOf(
  { latencyBuckets, latencyCounts }: EndpointTraffic,
  counts: TrafficCounts,
  before: TrafficCounts,
  intervalMs: number,
): RecentTraffic | null {
  const requests = counts.requests - before.requests;
  const errors = errorCount(counts) - errorCount(before);
  const isSound =
    latencyBuckets.length === latencyCounts.length &&
    latencyBuckets.length <= latencyBucketCount &&
    // Only buckets in which there are some are told: of none at all there is no quantile.
    latencyCounts.every((count) => count > 0);
  const isQuiet = requests <= 0 && errors <= 0 && latencyBuckets.length === 0;
  if (isQuiet) return null;
  return {
    intervalMs,
    requests: Math.max(0, requests),
    errors: Math.max(0, errors),
    latencyBuckets: isSound ? latencyBuckets.map((bucket) => Math.min(bucket, latencyBucketCount - 1)) : [],
    latencyCounts: isSound ? latencyCounts : [],
  };
}

function errorCount({ serverErrors, losses }: TrafficCounts): number {
  return serverErrors + losses;
}

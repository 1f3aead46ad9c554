import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import type { EndpointConfig, EndpointSet } from "../config/worker-config.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import { untilDone } from "../steps/until-done.ts";
import { otherSeries, type SeriesCounts } from "../telemetry/series-table.ts";
import type { SecureLink, UpstreamPlace } from "./connect.ts";
import type { DeadlineWheel } from "./deadline-wheel.ts";
import { UpstreamConnection } from "./http1-client.ts";
import { TargetTls } from "./target-tls.ts";

export interface UpstreamPoolOptions {
  /** Idle connections kept per address and worker. Default 512. */
  readonly idleMaxCount?: number;
  /** How long an idle connection is kept. Default 60,000. */
  readonly idleTimeoutMs?: number;
  /** PEM of the authorities trusted where a service names none. Default: null, those that come with Node. */
  readonly trustedCaPems?: readonly string[] | null;
}

/**
 * A worker's connections to endpoints, by address and by how they are secured. They outlive snapshots: a change of the configuration
 * closes none of them, but those to addresses that are in it no more.
 */
export class UpstreamPool {
  readonly wheel: DeadlineWheel;
  readonly buffers: ReadBuffers;
  readonly idleTimeoutMs: number;
  readonly #idleMaxCount: number;
  readonly #byPlace = new Map<string, EndpointConnections>();
  readonly #tlsByKey = new Map<string, TargetTls>();
  readonly #trustedCaPems: readonly string[] | null;
  /** Of those without TLS, by endpoint row: spares building the address key for every request. */
  readonly #byRow: (EndpointConnections | undefined)[] = [];
  /** Counts the calls of retainSteps. */
  #round = 0;
  /** Of all addresses. Written by those. */
  openCount = 0;
  idleCount = 0;
  /** Descriptors are nearly used up: whatever is opened or kept takes the place of something idle. */
  isTight = false;

  constructor(wheel: DeadlineWheel, buffers: ReadBuffers, options: UpstreamPoolOptions = {}) {
    this.wheel = wheel;
    this.buffers = buffers;
    this.#idleMaxCount = options.idleMaxCount ?? 512;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 60_000;
    this.#trustedCaPems = options.trustedCaPems ?? null;
  }

  /** The connections to the endpoint's address; pools that share an address share them. */
  connectionsTo(endpoint: EndpointConfig): EndpointConnections {
    const known = this.#byRow[endpoint.row];
    // Rows are given out anew when an endpoint goes, so the address is compared too.
    // Without a connection it may have been forgotten, and another be in its place.
    const former = known !== undefined && isAt(known, endpoint) ? known : null;
    if (former !== null && former.openCount > 0) return former;
    const connections =
      this.#byPlace.get(placeKey(endpoint.address, endpoint.port)) ??
      former ??
      new EndpointConnections(this, endpoint, null, this.#idleMaxCount);
    this.#byRow[endpoint.row] = connections;
    return connections;
  }

  /**
   * The connections over TLS to the endpoint's address, to be verified under this name.
   * Cost: a string and a map lookup, 150 ns.
   */
  secureConnectionsTo(endpoint: EndpointConfig, config: UpstreamTlsConfig, name: string): EndpointConnections {
    const { address, port } = endpoint;
    const known = this.#byPlace.get(placeKey(address, port, config.key, name));
    return known ?? new EndpointConnections(this, endpoint, { tls: this.#tlsOf(config), name }, this.#idleMaxCount);
  }

  #tlsOf(config: UpstreamTlsConfig): TargetTls {
    const known = this.#tlsByKey.get(config.key);
    if (known !== undefined) return known;
    const tls = new TargetTls(config, this.#trustedCaPems);
    this.#tlsByKey.set(config.key, tls);
    return tls;
  }

  /** An address has its first connection: rows may still lead to one that was forgotten. */
  remember(connections: EndpointConnections): void {
    connections.isGone = false;
    connections.startedInRound = this.#round;
    this.#byPlace.set(connections.key, connections);
  }

  /** An address has no connection left: addresses come and go without a trace. */
  forget(connections: EndpointConnections): void {
    if (this.#byPlace.get(connections.key) === connections) this.#byPlace.delete(connections.key);
  }

  /**
   * The configuration has these endpoints and TLS settings and no others: idle connections elsewhere are closed, and
   * those in use after their exchange. In steps of some 100 endpoints, between which connections may come and go.
   * Cost: 20 ns per endpoint, 200 where this worker has not used it.
   */
  *retainSteps(sets: Iterable<EndpointSet>, tlsKeys: ReadonlySet<string>): Generator<void, void> {
    for (const key of this.#tlsByKey.keys()) if (!tlsKeys.has(key)) this.#tlsByKey.delete(key);
    if (this.#byPlace.size === 0) return;
    const round = ++this.#round;
    const secure = [...this.#byPlace.values()].some(({ link }) => link !== null);
    const places = secure ? new Set<string>() : null;
    let seenCount = 0;
    for (const { endpoints } of sets) {
      for (const endpoint of endpoints) {
        if (++seenCount % stepEndpointCount === 0) yield;
        const known = this.#byRow[endpoint.row];
        const isKnown = known !== undefined && known.openCount > 0 && isAt(known, endpoint);
        const key = isKnown && places === null ? "" : placeKey(endpoint.address, endpoint.port);
        places?.add(key);
        const connections = isKnown ? known : this.#byPlace.get(key);
        if (connections !== undefined) connections.namedInRound = round;
      }
    }
    for (const connections of [...this.#byPlace.values()]) {
      if (++seenCount % stepEndpointCount === 0) yield;
      const { address, port, link, namedInRound, startedInRound } = connections;
      const isNamed = link === null ? namedInRound === round : (places?.has(placeKey(address, port)) ?? true);
      const isTrusted = link === null || tlsKeys.has(link.tls.key);
      // What has its first connection since this began is of a request that knows more than this.
      connections.isGone = startedInRound !== round && !(isNamed && isTrusted);
      if (connections.isGone) connections.closeIdle();
    }
  }

  /** The same at once. */
  retainOnly(sets: Iterable<EndpointSet>, tlsKeys: ReadonlySet<string>): void {
    untilDone(this.retainSteps(sets, tlsKeys));
  }

  /** Connections by address, each with what is open and what of it is idle; above so many addresses, the rest together. */
  sizes(addressesMax: number): SeriesCounts {
    const labels = [otherSeries];
    const indexes = new Map<string, number>();
    const cells = new Float64Array(poolSizeCells * (1 + Math.min(this.#byPlace.size, addressesMax)));
    for (const { address, port, openCount, idleCount } of this.#byPlace.values()) {
      const label = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
      // With and without TLS, and under several names, an address is one series.
      const known = indexes.get(label) ?? (labels.length <= addressesMax ? labels.push(label) - 1 : 0);
      indexes.set(label, known);
      const at = known * poolSizeCells;
      cells[at]! += openCount;
      cells[at + 1]! += idleCount;
    }
    return { labels, cells };
  }

  /** Closes what is idle to an endpoint that was taken out: a host that went without a word left such connections open. */
  closeIdleTo(endpoint: Pick<EndpointConfig, "address" | "port">): void {
    for (const connections of this.#byPlace.values()) {
      if (connections.address === endpoint.address && connections.port === endpoint.port) connections.closeIdle();
    }
  }

  /** Closes so many idle connections, or all: first those to addresses that were longest without one coming back. */
  closeSomeIdle(count: number): void {
    let left = Math.min(count, this.idleCount);
    for (const connections of this.#byPlace.values()) {
      while (left > 0 && connections.closeOldestIdle()) left--;
      if (left === 0) return;
    }
  }

  /** A connection has become idle while descriptors are nearly used up. */
  keptWhileTight(connections: EndpointConnections): void {
    if (this.#byPlace.get(connections.key) === connections) {
      this.#byPlace.delete(connections.key);
      this.#byPlace.set(connections.key, connections);
    }
    // Alone, it has no other's place to take: each client has one connection to a target at most.
    if (this.idleCount > 1) this.closeSomeIdle(1);
  }

  /** Closes what is idle. Connections in use close when their exchange is over, since nothing may be kept then. */
  closeIdle(): void {
    for (const connections of this.#byPlace.values()) connections.closeIdle();
  }
}

/** Looked at in one step: some 20 us. */
const stepEndpointCount = 100;

/** Open, idle. */
export const poolSizeCells = 2;

/** The connections of one worker to one address, secured in one way. */
export class EndpointConnections implements UpstreamPlace {
  readonly address: string;
  readonly port: number;
  readonly link: SecureLink | null;
  /** What it is found by. */
  readonly key: string;
  readonly pool: UpstreamPool;
  readonly #idleMaxCount: number;
  /** Last in, first out: the connection that was used last is the least likely to have been closed meanwhile. */
  readonly #idle: UpstreamConnection[] = [];
  #openCount = 0;
  /** The configuration has no endpoint at this address any more. Written by the pool. */
  isGone = false;
  namedInRound = 0;
  startedInRound = 0;

  constructor(
    pool: UpstreamPool,
    { address, port }: Pick<EndpointConfig, "address" | "port">,
    link: SecureLink | null,
    idleMaxCount: number,
  ) {
    this.pool = pool;
    this.address = address;
    this.port = port;
    this.link = link;
    this.key = link === null ? placeKey(address, port) : placeKey(address, port, link.tls.key, link.name);
    this.#idleMaxCount = idleMaxCount;
  }

  get openCount(): number {
    return this.#openCount;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  takeIdle(): UpstreamConnection | null {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return null;
      this.pool.idleCount--;
      if (!connection.isExpired) return connection;
      connection.close();
    }
  }

  open(): UpstreamConnection {
    if (this.pool.isTight) this.pool.closeSomeIdle(1);
    if (this.#openCount++ === 0) this.pool.remember(this);
    this.pool.openCount++;
    return new UpstreamConnection(this);
  }

  /** Takes back a connection whose exchange is over and that may carry another. */
  keep(connection: UpstreamConnection): void {
    if (this.isGone || this.#idle.length >= this.#idleMaxCount) {
      connection.close();
      return;
    }
    this.#idle.push(connection);
    this.pool.idleCount++;
    if (this.pool.isTight) this.pool.keptWhileTight(this);
  }

  /** A connection is closed, in whatever state it was. */
  closed(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.pool.idleCount--;
    }
    this.#openCount--;
    this.pool.openCount--;
    if (this.#openCount === 0) this.pool.forget(this);
  }

  closeIdle(): void {
    this.pool.idleCount -= this.#idle.length;
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  /** @returns false where nothing is idle */
  closeOldestIdle(): boolean {
    const oldest = this.#idle[0];
    oldest?.close();
    return oldest !== undefined;
  }
}

function isAt(connections: EndpointConnections, { address, port }: EndpointConfig): boolean {
  return connections.port === port && connections.address === address;
}

function placeKey(address: string, port: number, tlsKey = "", name = ""): string {
  return tlsKey === "" ? `${address}|${port}` : `${address}|${port}|${tlsKey}|${name}`;
}

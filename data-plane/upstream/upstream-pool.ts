import type { EndpointConfig, EndpointSet } from "../config/worker-config.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import { otherSeries, type SeriesCounts } from "../telemetry/series-table.ts";
import type { DeadlineWheel } from "./deadline-wheel.ts";
import { UpstreamConnection } from "./http1-client.ts";

export interface UpstreamPoolOptions {
  /** Idle connections kept per address and worker. Default 512. */
  readonly idleMaxCount?: number;
  /** How long an idle connection is kept. Default 60,000. */
  readonly idleTimeoutMs?: number;
}

/**
 * A worker's connections to endpoints, by address. They outlive snapshots: a change of the configuration
 * closes none of them, but those to addresses that are in it no more.
 */
export class UpstreamPool {
  readonly wheel: DeadlineWheel;
  readonly buffers: ReadBuffers;
  readonly idleTimeoutMs: number;
  readonly #idleMaxCount: number;
  readonly #byAddress = new Map<string, EndpointConnections>();
  /** By endpoint row: spares building the address key for every request. */
  readonly #byRow: (EndpointConnections | undefined)[] = [];
  /** Counts the calls of retainOnly. */
  #round = 0;

  constructor(wheel: DeadlineWheel, buffers: ReadBuffers, options: UpstreamPoolOptions = {}) {
    this.wheel = wheel;
    this.buffers = buffers;
    this.#idleMaxCount = options.idleMaxCount ?? 512;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 60_000;
  }

  /** The connections to the endpoint's address; pools that share an address share them. */
  connectionsTo(endpoint: EndpointConfig): EndpointConnections {
    const known = this.#byRow[endpoint.row];
    // Rows are given out anew when an endpoint goes, so the address is compared too.
    // Without a connection it may have been forgotten, and another be in its place.
    const former = known !== undefined && isAt(known, endpoint) ? known : null;
    if (former !== null && former.openCount > 0) return former;
    const connections =
      this.#byAddress.get(keyOf(endpoint)) ??
      former ??
      new EndpointConnections(this, endpoint.address, endpoint.port, this.#idleMaxCount);
    this.#byRow[endpoint.row] = connections;
    return connections;
  }

  /** An address has its first connection: rows may still lead to one that was forgotten. */
  remember(connections: EndpointConnections): void {
    connections.isGone = false;
    this.#byAddress.set(keyOf(connections), connections);
  }

  /** An address has no connection left: addresses come and go without a trace. */
  forget(connections: EndpointConnections): void {
    const key = keyOf(connections);
    if (this.#byAddress.get(key) === connections) this.#byAddress.delete(key);
  }

  /**
   * The configuration has these endpoints and no others: idle connections elsewhere are closed, and those in use after
   * their exchange.
   * Cost: 20 ns per endpoint, 200 where this worker has not used it.
   */
  retainOnly(sets: Iterable<EndpointSet>): void {
    if (this.#byAddress.size === 0) return;
    const round = ++this.#round;
    for (const { endpoints } of sets) {
      for (const endpoint of endpoints) {
        const known = this.#byRow[endpoint.row];
        const isKnown = known !== undefined && known.openCount > 0 && isAt(known, endpoint);
        const connections = isKnown ? known : this.#byAddress.get(keyOf(endpoint));
        if (connections !== undefined) connections.namedInRound = round;
      }
    }
    for (const connections of this.#byAddress.values()) {
      connections.isGone = connections.namedInRound !== round;
      if (connections.isGone) connections.closeIdle();
    }
  }

  /** Connections by address, each with what is open and what of it is idle; above so many addresses, the rest together. */
  sizes(addressesMax: number): SeriesCounts {
    const labels = [otherSeries];
    const cells = new Float64Array(poolSizeCells * (1 + Math.min(this.#byAddress.size, addressesMax)));
    for (const { address, port, openCount, idleCount } of this.#byAddress.values()) {
      const at = labels.length <= addressesMax ? labels.length * poolSizeCells : 0;
      if (at > 0) labels.push(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
      cells[at]! += openCount;
      cells[at + 1]! += idleCount;
    }
    return { labels, cells };
  }

  /** Closes what is idle. Connections in use close when their exchange is over, since nothing may be kept then. */
  closeIdle(): void {
    for (const connections of this.#byAddress.values()) connections.closeIdle();
  }
}

/** Open, idle. */
export const poolSizeCells = 2;

/** The connections of one worker to one address. */
export class EndpointConnections {
  readonly address: string;
  readonly port: number;
  readonly pool: UpstreamPool;
  readonly #idleMaxCount: number;
  /** Last in, first out: the connection that was used last is the least likely to have been closed meanwhile. */
  readonly #idle: UpstreamConnection[] = [];
  #openCount = 0;
  /** The configuration has no endpoint at this address any more. Written by the pool. */
  isGone = false;
  namedInRound = 0;

  constructor(pool: UpstreamPool, address: string, port: number, idleMaxCount: number) {
    this.pool = pool;
    this.address = address;
    this.port = port;
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
      if (!connection.isExpired) return connection;
      connection.close();
    }
  }

  open(): UpstreamConnection {
    if (this.#openCount++ === 0) this.pool.remember(this);
    return new UpstreamConnection(this);
  }

  /** Takes back a connection whose exchange is over and that may carry another. */
  keep(connection: UpstreamConnection): void {
    if (this.isGone || this.#idle.length >= this.#idleMaxCount) connection.close();
    else this.#idle.push(connection);
  }

  /** A connection is closed, in whatever state it was. */
  closed(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#openCount--;
    if (this.#openCount === 0) this.pool.forget(this);
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }
}

function isAt(connections: EndpointConnections, { address, port }: EndpointConfig): boolean {
  return connections.port === port && connections.address === address;
}

function keyOf(place: { readonly address: string; readonly port: number }): string {
  return `${place.address}|${place.port}`;
}

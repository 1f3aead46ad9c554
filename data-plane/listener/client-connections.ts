import type { Socket } from "node:net";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { AcceptMode } from "./accepted-socket.ts";
import { type ConnectionOwner, Http1Connection } from "./http1-connection.ts";
import type { NodeLoad } from "./node-load.ts";
import { plainAddress } from "./plain-address.ts";

/** The clients' connections of one worker, whichever thread accepted them. */
export class ClientConnections implements ConnectionOwner {
  readonly #engine: ProxyEngine;
  readonly #load: NodeLoad;
  readonly #acceptMode: AcceptMode;
  readonly #connections = new Set<Http1Connection>();
  #lastAcceptedAtMs = performance.now();
  /** Told once, when the last connection goes. */
  readonly #whenEmpty: (() => void)[] = [];

  constructor(engine: ProxyEngine, load: NodeLoad, acceptMode: AcceptMode) {
    this.#engine = engine;
    this.#load = load;
    this.#acceptMode = acceptMode;
  }

  /** Takes a connection that nobody has read from. @param localPort the listener's port */
  accept(accepted: Socket, localPort: number): void {
    this.#lastAcceptedAtMs = performance.now();
    const { counters } = this.#engine;
    // A client that is gone already has no address; one too many gets no answer, since that would cost most.
    if (accepted.remoteAddress === undefined || !this.#hasRoomFor(plainAddress(accepted.remoteAddress))) {
      counters.add(Counter.connections_refused);
      accepted.destroy();
      return;
    }
    const remoteAddress = plainAddress(accepted.remoteAddress);
    try {
      const place = { remoteAddress, localPort };
      this.#connections.add(new Http1Connection(this.#engine, accepted, this.#acceptMode, this, place));
      counters.add(Counter.connections_accepted);
      counters.add(Counter.connections_active);
      this.#load.opened(remoteAddress);
    } catch (error) {
      accepted.destroy();
      this.#engine.onDefect(error);
    }
  }

  #hasRoomFor(address: string): boolean {
    const { counters, limits, trustedProxies } = this.#engine;
    if (this.#load.connectionCount >= limits.connectionMaxCount) {
      counters.add(Counter.limit_connections);
      return false;
    }
    // A trusted proxy connects for many clients.
    if (this.#load.addressCount(address) < limits.addressConnectionMaxCount) return true;
    if (trustedProxies?.has(address)) return true;
    counters.add(Counter.limit_address_connections);
    return false;
  }

  get count(): number {
    return this.#connections.size;
  }

  /** How long ago the last connection came, or this was made. */
  get quietMs(): number {
    return performance.now() - this.#lastAcceptedAtMs;
  }

  connectionClosed(connection: Http1Connection): void {
    this.#connections.delete(connection);
    this.#load.closed(connection.remoteAddress);
    if (this.#connections.size === 0) for (const tell of this.#whenEmpty.splice(0)) tell();
  }

  /** Closes what is idle now. What is in use closes by itself, since the engine is draining. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.isIdle) connection.closeIdle();
  }

  cut(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Resolves when the last connection is gone, or after `timeoutMs`, when those that are left are cut. */
  async emptied(timeoutMs: number): Promise<void> {
    if (this.#connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty.push(resolve);
    const timer = setTimeout(() => this.cut(), timeoutMs);
    await promise;
    clearTimeout(timer);
  }
}

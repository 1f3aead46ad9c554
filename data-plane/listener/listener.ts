import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { AcceptMode } from "./accepted-socket.ts";
import { type ConnectionOwner, Http1Connection } from "./http1-connection.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Several workers share the port: the kernel spreads connections over them. */
  readonly reusePort: boolean;
  readonly acceptMode: AcceptMode;
}

/** A bound address and the connections that were accepted on it. */
export class Listener implements ConnectionOwner {
  readonly #engine: ProxyEngine;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Http1Connection>();
  #lastAcceptedAtMs = performance.now();
  #whenEmpty: (() => void) | null = null;
  #port = 0;

  constructor(engine: ProxyEngine, options: ListenerOptions) {
    this.#engine = engine;
    this.#options = options;
    // A paused socket was never read, which is what lets acceptSocket take its handle over.
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  }

  /** Rejects when the address cannot be bound. @returns the port as bound */
  async open(): Promise<number> {
    const { host, port, reusePort } = this.#options;
    const server = this.#server;
    server.on("connection", (accepted) => this.#accept(accepted));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, reusePort, ipv6Only: host.includes(":"), backlog: 4_096 }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // Accepting can fail for want of file descriptors: the connection waits, the listener stays.
    server.on("error", (error) => this.#engine.onDefect(error));
    this.#port = (server.address() as AddressInfo).port;
    return this.#port;
  }

  #accept(accepted: Socket): void {
    this.#lastAcceptedAtMs = performance.now();
    const { counters, limits } = this.#engine;
    const { remoteAddress } = accepted;
    // A client that is gone already has no address; one too many gets no answer, since that would cost most.
    if (remoteAddress === undefined || this.#connections.size >= limits.connectionMaxCount) {
      counters.add(Counter.connections_refused);
      accepted.destroy();
      return;
    }
    try {
      const place = { remoteAddress, localPort: this.#port };
      this.#connections.add(new Http1Connection(this.#engine, accepted, this.#options.acceptMode, this, place));
      counters.add(Counter.connections_accepted);
      counters.add(Counter.connections_active);
    } catch (error) {
      accepted.destroy();
      this.#engine.onDefect(error);
    }
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** How long ago the last connection came, or the listener was made. */
  get quietMs(): number {
    return performance.now() - this.#lastAcceptedAtMs;
  }

  connectionClosed(connection: Http1Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /** Accepts no more and closes what is idle; resolves when the last exchange is over, or after `timeoutMs`, with a cut. */
  async close(timeoutMs: number): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections) if (connection.isIdle) connection.closeIdle();
    if (this.#connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty = resolve;
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.close();
    }, timeoutMs);
    await promise;
    clearTimeout(timer);
  }
}

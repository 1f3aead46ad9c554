import type { Socket } from "node:net";
import type { TlsConfig } from "../config/tls-config.ts";
import type { TlsSettings } from "../config/tls-settings.ts";
import { Problem } from "../http1/head-problem.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { proxyError } from "../proxy/proxy-error.ts";
import { type AcceptMode, acceptSocket } from "./accepted-socket.ts";
import { type ClientLink, type ConnectionOwner, Http1Connection } from "./http1-connection.ts";
import { MemberList } from "./member-list.ts";
import type { NodeLoad } from "./node-load.ts";
import { plainAddress } from "./plain-address.ts";
import { type HandshakeReceiver, TlsHandshakes } from "./tls-handshakes.ts";

export interface ClientConnectionsOptions {
  readonly load: NodeLoad;
  readonly acceptMode: AcceptMode;
  /** null: no connection comes for TLS. */
  readonly tls: TlsSettings | null;
}

/** @param isTls by the port that the connection came to */
export type GiveConnection = (unread: Socket, localPort: number, isTls: boolean) => void;

/** The clients' connections of one worker, whichever thread accepted them. */
export class ClientConnections implements ConnectionOwner, HandshakeReceiver {
  readonly #engine: ProxyEngine;
  readonly #load: NodeLoad;
  readonly #acceptMode: AcceptMode;
  readonly #connections = new MemberList<Http1Connection>();
  readonly #handshakes: TlsHandshakes | null;
  #lastAcceptedAtMs = performance.now();
  /** Told once, when the last connection goes. */
  readonly #whenEmpty: (() => void)[] = [];

  constructor(engine: ProxyEngine, { load, acceptMode, tls }: ClientConnectionsOptions) {
    this.#engine = engine;
    this.#load = load;
    this.#acceptMode = acceptMode;
    this.#handshakes = tls === null ? null : new TlsHandshakes(engine, tls, this);
  }

  /** What holds for handshakes from now on, beside what the snapshot says. */
  apply({ ticketKey }: TlsConfig): void {
    this.#handshakes?.setTicketKey(ticketKey);
  }

  /** Takes a connection that nobody has read from. @param localPort the listener's port */
  accept(accepted: Socket, localPort: number, isTls: boolean): void {
    this.#lastAcceptedAtMs = performance.now();
    const { counters } = this.#engine;
    const { remoteAddress: address } = accepted;
    // A client that is gone already has no address; one too many gets no answer, since that would cost most.
    const hasRoom = address !== undefined && this.#hasRoomFor(plainAddress(address));
    if (!hasRoom || (isTls && !this.#handshakes?.hasRoom())) {
      counters.add(Counter.connections_refused);
      accepted.destroy();
      return;
    }
    const remoteAddress = plainAddress(address);
    counters.add(Counter.connections_accepted);
    counters.add(Counter.connections_active);
    this.#load.opened(remoteAddress);
    if (isTls) this.#handshakes!.begin(accepted, remoteAddress, localPort);
    else
      this.#open({ remoteAddress, localPort, tls: null, attach: (reader) => this.#attach(accepted, reader) }, accepted);
  }

  #attach(accepted: Socket, reader: Parameters<ClientLink["attach"]>[0]): ReturnType<ClientLink["attach"]> {
    return acceptSocket(accepted, this.#acceptMode, this.#engine.buffers, reader);
  }

  #open(link: ClientLink, accepted: Socket | null): Http1Connection | null {
    try {
      const connection = new Http1Connection(this.#engine, this, link);
      this.#connections.add(connection);
      return connection;
    } catch (error) {
      accepted?.destroy();
      this.failed(link.remoteAddress);
      this.#engine.onDefect(error);
      return null;
    }
  }

  secured(link: ClientLink): void {
    this.#open(link, null);
  }

  plainCame(link: ClientLink): void {
    this.#open(link, null)?.refuse(-Problem.PlainOnTlsPort, proxyError("plain_on_tls_port"));
  }

  failed(remoteAddress: string): void {
    this.#engine.counters.subtract(Counter.connections_active);
    this.#left(remoteAddress);
  }

  #hasRoomFor(address: string): boolean {
    const { counters, limits, trustedProxies } = this.#engine;
    if (this.#load.connectionCount >= Math.min(limits.connectionMaxCount, this.#load.connectionMaxCount)) {
      counters.add(Counter.limit_connections);
      return false;
    }
    // A trusted proxy connects for many clients.
    if (this.#load.addressCount(address) < limits.addressConnectionMaxCount) return true;
    if (trustedProxies?.has(address)) return true;
    counters.add(Counter.limit_address_connections);
    return false;
  }

  /** Connections, and handshakes that may become some. */
  get count(): number {
    return this.#connections.size + (this.#handshakes?.count ?? 0);
  }

  /** How long ago the last connection came, or this was made. */
  get quietMs(): number {
    return performance.now() - this.#lastAcceptedAtMs;
  }

  connectionClosed(connection: Http1Connection): void {
    this.#connections.delete(connection);
    this.#left(connection.remoteAddress);
  }

  #left(remoteAddress: string): void {
    this.#load.closed(remoteAddress);
    if (this.count === 0) for (const tell of this.#whenEmpty.splice(0)) tell();
  }

  /** Closes what is idle now. What is in use closes by itself, since the engine is draining. */
  closeIdle(): void {
    for (const connection of this.#connections.all()) if (connection.isIdle) connection.closeIdle();
  }

  /**
   * Gives away every connection of which nothing was read: nobody here knows anything of those yet.
   * @param give another thread takes the socket
   */
  giveUnread(give: GiveConnection): void {
    this.#handshakes?.giveUnread(give);
    for (const connection of this.#connections.all()) {
      const socket = connection.giveUp();
      if (socket === null) continue;
      this.#engine.counters.subtract(Counter.connections_active);
      this.connectionClosed(connection);
      give(socket, connection.localPort, false);
    }
  }

  cut(): void {
    this.#handshakes?.close();
    for (const connection of this.#connections.all()) connection.close();
  }

  /** Resolves when the last connection is gone, or after `timeoutMs`, when those that are left are cut. */
  async emptied(timeoutMs: number): Promise<void> {
    if (this.count === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty.push(resolve);
    const timer = setTimeout(() => this.cut(), timeoutMs);
    await promise;
    clearTimeout(timer);
  }
}

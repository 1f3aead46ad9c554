import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsSettings } from "../config/tls-settings.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { TlsClient } from "../proxy/tls-client.ts";
import { type HandshakeFailure, handshakeFailure } from "../telemetry/handshake-failure.ts";
import { CertificateServers } from "../tls/certificate-servers.ts";
import { plainServerName } from "../tls/client-hello.ts";
import { shownCertificate } from "../tls/shown-certificate.ts";
import { attachPlain, attachTls } from "./accepted-tls-socket.ts";
import { HandedOverHandshakes } from "./handed-over-handshakes.ts";
import type { ClientLink } from "./http1-connection.ts";
import { MemberList } from "./member-list.ts";
import { type HandshakeOwner, TlsHandshake } from "./tls-handshake.ts";

/** Who goes on with the connections. */
export interface HandshakeReceiver {
  /** The connection is secure. */
  secured(link: ClientLink): void;
  /** A request in plain text came to a TLS port. @param seen what was read of it */
  plainCame(link: ClientLink): void;
  /** It failed, and is closed. */
  failed(remoteAddress: string): void;
}

/** The TLS handshakes of one worker, from the opening of a connection until it is secure. */
export class TlsHandshakes implements HandshakeOwner {
  readonly #engine: ProxyEngine;
  readonly #settings: TlsSettings;
  readonly #receiver: HandshakeReceiver;
  readonly #servers: CertificateServers;
  readonly #underWay = new MemberList<TlsHandshake>();
  readonly #handedOver: HandedOverHandshakes;
  /** Handed over, and then cut by us: each will be told as closed, and was counted already. */
  #cutCount = 0;

  /** Throws when the node's own certificate cannot be loaded. */
  constructor(engine: ProxyEngine, settings: TlsSettings, receiver: HandshakeReceiver) {
    this.#engine = engine;
    this.#settings = settings;
    this.#receiver = receiver;
    this.#handedOver = new HandedOverHandshakes(settings.readMode);
    const { defaultPair, minVersion, ciphers, certificatesReadyMax, ticketKey } = settings;
    this.#servers = new CertificateServers({
      defaultPair,
      minVersion,
      ciphers,
      readyMax: certificatesReadyMax,
      ticketKey,
      onSecure: (socket) => this.#secured(socket),
      onFailed: (error) => this.#failed(handshakeFailure(error)),
    });
  }

  get count(): number {
    return this.#underWay.size;
  }

  /** @param key null: the node's own */
  setTicketKey(key: Uint8Array | null): void {
    this.#servers.setTicketKey(key ?? this.#settings.ticketKey);
  }

  /** Whether one more may begin; counted where it may not. */
  hasRoom(): boolean {
    if (this.#underWay.size < this.#settings.handshakesMax) return true;
    this.#engine.counters.add(Counter.limit_handshakes);
    this.#count("limit");
    return false;
  }

  /** @param accepted paused, and not read from yet */
  begin(accepted: Socket, remoteAddress: string, localPort: number): void {
    const { handshakeTimeoutMs: timeoutMs, readMode: mode } = this.#settings;
    const place = { remoteAddress, localPort, timeoutMs, mode, into: this.#engine.buffers.shared.bytes };
    this.#underWay.add(new TlsHandshake(this, this.#engine.wheel, accepted, place));
    this.#engine.counters.add(Counter.handshakes_active);
  }

  /** Gives away every connection of which nothing was read. */
  giveUnread(give: (unread: Socket, localPort: number, isTls: boolean) => void): void {
    for (const handshake of this.#underWay.all()) {
      const socket = handshake.giveUp();
      if (socket === null) continue;
      this.#leave(handshake);
      this.#receiver.failed(handshake.remoteAddress);
      give(socket, handshake.localPort, true);
    }
  }

  /** Ends those that are under way. */
  close(): void {
    for (const handshake of this.#underWay.all()) handshake.cut("closed");
  }

  helloCame(handshake: TlsHandshake, serverName: string): void {
    try {
      handshake.certificate = this.#engine.snapshots.current?.serverNames.pick(serverName) ?? null;
      const server = this.#servers.serverOf(handshake.certificate);
      this.#handedOver.add(handshake);
      server.emit("connection", handshake.socket);
    } catch (error) {
      // A certificate that was tried before the worker had it, and cannot be loaded all the same.
      handshake.cut("certificate");
      this.#engine.onDefect(error);
    }
  }

  #secured(socket: TLSSocket): void {
    const handshake = this.#handedOver.find(socket);
    // Its client is gone by now, or it was ended.
    if (handshake === undefined) socket.destroy();
    else if (!isNamedAlike(socket, handshake.serverName)) handshake.cut("server_name");
    else this.#goOn(socket, handshake);
  }

  #goOn(socket: TLSSocket, handshake: TlsHandshake): void {
    const { serverName, certificate, remoteAddress, localPort } = handshake;
    this.#leave(handshake);
    handshake.release();
    const isResumed = socket.isSessionReused();
    this.#engine.traffic.countHandshake(performance.now() - handshake.startedAtMs, isResumed);
    try {
      const asked = certificate?.clientAuthentication ?? null;
      const tls = new TlsClient(serverName, asked, shownCertificate(socket, asked));
      const { buffers } = this.#engine;
      const link = { socket, carrier: handshake.socket, mode: this.#settings.readMode };
      const attach: ClientLink["attach"] = (reader) => attachTls(link, buffers, reader);
      this.#receiver.secured({ remoteAddress, localPort, tls, attach });
    } catch (error) {
      socket.destroy();
      this.#receiver.failed(remoteAddress);
      this.#engine.onDefect(error);
    }
  }

  requestCame(handshake: TlsHandshake): void {
    const { socket, remoteAddress, localPort } = handshake;
    this.#leave(handshake);
    handshake.release();
    this.#count("not_tls");
    const { readMode } = this.#settings;
    const attach: ClientLink["attach"] = (reader) => attachPlain(socket, readMode, this.#engine.buffers, reader);
    this.#receiver.plainCame({ remoteAddress, localPort, tls: null, attach });
  }

  handshakeEnded(handshake: TlsHandshake, failure: HandshakeFailure | null): void {
    this.#leave(handshake);
    if (failure !== null) {
      this.#count(failure);
      if (handshake.isHandedOver && failure !== "server_name") this.#cutCount++;
    }
    if (failure === "timeout") this.#engine.counters.add(Counter.limit_handshake_time);
    this.#receiver.failed(handshake.remoteAddress);
  }

  /** What node:tls says of a socket that it has. */
  #failed(failure: HandshakeFailure): void {
    if (failure === "closed" && this.#cutCount > 0) this.#cutCount--;
    else this.#count(failure);
  }

  #leave(handshake: TlsHandshake): void {
    if (this.#underWay.delete(handshake)) this.#engine.counters.subtract(Counter.handshakes_active);
    if (handshake.isHandedOver) this.#handedOver.delete(handshake);
  }

  #count(failure: HandshakeFailure): void {
    this.#engine.traffic.countHandshakeFailure(failure);
  }
}

/**
 * Whether OpenSSL has read the name that we have: it decides what is asked of the client. A session of TLS 1.2 that is
 * resumed has none, and is bound to its certificate.
 */
function isNamedAlike(socket: TLSSocket, serverName: string): boolean {
  const { servername: seen } = socket as { readonly servername?: string | false | null };
  if (seen) return plainServerName(seen) === serverName;
  return serverName === "" || (socket.isSessionReused() && socket.getProtocol() === "TLSv1.2");
}

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { AcceptMode } from "./accepted-socket.ts";
import { carrierOf } from "./accepted-tls-socket.ts";
import type { TlsHandshake } from "./tls-handshake.ts";

const handshakeOf = Symbol("handshake");

interface CarrierSocket extends Socket {
  [handshakeOf]?: TlsHandshake | undefined;
}

/**
 * The handshakes that node:tls has: it tells of sockets of its own, which lie over those that were handed to it. Where
 * Node does not say over which (`mode` "events"), they are found by the addresses of their connection. That takes three
 * system calls, and a Map, which keeps what was in it from being collected as a Set does (member-list.ts):
 * `npm run bench -- --only tls-handshake`.
 */
export class HandedOverHandshakes {
  readonly #byAddress: Map<string, TlsHandshake> | null;

  constructor(mode: AcceptMode) {
    this.#byAddress = mode === "events" ? new Map() : null;
  }

  /** To be called while the client is connected. */
  add(handshake: TlsHandshake): void {
    if (this.#byAddress === null) {
      (handshake.socket as CarrierSocket)[handshakeOf] = handshake;
      return;
    }
    handshake.key = connectionKey(handshake.socket);
    this.#byAddress.set(handshake.key, handshake);
  }

  /** The one under a socket of node:tls; undefined when it was ended meanwhile, or its client is gone. */
  find(socket: TLSSocket): TlsHandshake | undefined {
    if (this.#byAddress !== null) return this.#byAddress.get(connectionKey(socket));
    return (carrierOf(socket) as CarrierSocket | null)?.[handshakeOf];
  }

  delete(handshake: TlsHandshake): void {
    if (this.#byAddress === null) (handshake.socket as CarrierSocket)[handshakeOf] = undefined;
    else if (this.#byAddress.get(handshake.key) === handshake) this.#byAddress.delete(handshake.key);
  }
}

/** Tells the connections of a node apart, as long as they are open. */
function connectionKey({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

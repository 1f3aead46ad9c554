import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { connect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { KeyPairConfig } from "../config/tls-config.ts";
import { type ByteReader, type ByteSocket, type OnRead, PlainSocket } from "../socket/byte-socket.ts";
import { type ReadBuffer, ReadBuffers } from "../socket/read-buffer.ts";
import type { AcceptMode } from "./accepted-socket.ts";

/**
 * node:tls takes `onread` from clients only, and node:net from sockets that one connects. What they do with it is done
 * here to sockets of servers as well, through the fields that they use themselves: three symbols of node:net, found by
 * their names, and the socket's handle. This is the one file that touches such fields of node:tls, and
 * `probeTlsReadMode` says beforehand whether it works.
 *
 * Worth 8 of 36 us per proxied request, and some 20 of 900 per handshake.
 */
function readInto(socket: Socket, { buffer, callback }: OnRead): void {
  const fields = socket as unknown as Record<symbol, unknown> & { _handle: { useUserBuffer(bytes: Uint8Array): void } };
  readFields ??= findReadFields(socket);
  const first = buffer()!;
  fields[readFields.current] = first;
  fields[readFields.generator] = buffer;
  fields[readFields.taker] = callback;
  fields._handle.useUserBuffer(first);
}

interface ReadFields {
  readonly current: symbol;
  readonly generator: symbol;
  readonly taker: symbol;
}

/** The same ones on all sockets. */
let readFields: ReadFields | null = null;

/** Throws where this Node has no such fields. */
function findReadFields(socket: Socket): ReadFields {
  const find = (name: string): symbol => {
    const found = Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
    if (found === undefined) throw new Error(`a socket of node:net has no ${name}`);
    return found;
  };
  return { current: find("kBuffer"), generator: find("kBufferGen"), taker: find("kBufferCb") };
}

/**
 * Reads what comes first on a socket that was accepted, is paused, and is to be handed to node:tls later.
 * @param into read into here; what is taken is valid only during the call
 * @param take returns whether to read on; never called again once it has not
 */
export function readFirst(accepted: Socket, mode: AcceptMode, into: Buffer, take: (bytes: Buffer) => boolean): void {
  if (mode === "onread") {
    readInto(accepted, { buffer: () => into, callback: (length) => take(into.subarray(0, length)) });
    // It stays paused: what is put back would else flow away.
    accepted.read(0);
    return;
  }
  const onData = (bytes: Buffer): void => {
    if (take(bytes)) return;
    accepted.pause();
    accepted.off("data", onData);
  };
  accepted.on("data", onData);
  accepted.resume();
}

/** The socket that a server of node:tls was given for this one; null where Node does not say. */
export function carrierOf(socket: TLSSocket): Socket | null {
  return (socket as TLSSocket & { readonly _parent?: Socket | null })._parent ?? null;
}

export interface TlsLink {
  readonly socket: TLSSocket;
  /** The TCP socket below it. */
  readonly carrier: Socket;
  readonly mode: AcceptMode;
}

/** Takes a secure socket over that nobody has read from; to be called as soon as it is secure. */
export function attachTls({ socket, carrier, mode }: TlsLink, buffers: ReadBuffers, reader: ByteReader): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  socket.allowHalfOpen = true;
  if (mode === "onread") {
    readInto(socket, plain.onRead());
    plain.attach(socket, carrier);
    socket.resume();
  } else plain.attachWithEvents(socket, carrier);
  return plain;
}

/** Takes a socket over whose first bytes were read, and are of no use. */
export function attachPlain(socket: Socket, mode: AcceptMode, buffers: ReadBuffers, reader: ByteReader): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  if (mode === "onread") {
    readInto(socket, plain.onRead());
    plain.attach(socket);
  } else plain.attachWithEvents(socket);
  socket.resume();
  return plain;
}

const probeText = "probe ".repeat(20_000);
const probeTimeoutMs = 2_000;

/** Echoes what it reads once it has all of it, after a pause in the midst. */
class ProbeReader implements ByteReader {
  socket: ByteSocket | null = null;
  #text = "";

  onBytes(from: ReadBuffer, length: number): void {
    this.#text += from.bytes.toString("latin1", 0, length);
    this.socket?.pause();
    setImmediate(() => this.socket?.resume());
    if (this.#text.length >= probeText.length) this.socket?.writeText(this.#text);
  }

  onConnected(): void {}
  onEnd(): void {}
  onDrain(): void {}
  onFlushed(): void {}
  onClosed(): void {}
  onDefect(): void {}
}

/**
 * Tries on a real connection whether reading into our own memory works over TLS on this Node. Costs some 10 ms, once
 * for all workers; where it does not work, what is read comes in events.
 */
export async function probeTlsReadMode({ certPem, keyPem }: KeyPairConfig): Promise<AcceptMode> {
  const buffers = new ReadBuffers();
  const { promise: works, resolve } = Promise.withResolvers<boolean>();
  const failed = () => resolve(false);
  const sockets: Socket[] = [];
  const tlsServer = createTlsServer({ cert: certPem, key: keyPem, ca: [] });
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (carrier) => {
    sockets.push(carrier);
    carrier.on("error", failed);
    tlsServer.once("secureConnection", (socket) => {
      try {
        if (carrierOf(socket) !== carrier) throw new Error("a socket of node:tls does not say what carries it");
        const reader = new ProbeReader();
        reader.socket = attachTls({ socket, carrier, mode: "onread" }, buffers, reader);
      } catch {
        failed();
      }
    });
    try {
      readFirst(carrier, "onread", buffers.shared.bytes, (bytes) => {
        carrier.unshift(Buffer.from(bytes));
        tlsServer.emit("connection", carrier);
        return false;
      });
    } catch {
      failed();
    }
  });
  tlsServer.on("tlsClientError", failed);
  server.on("error", failed);
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => client.write(probeText));
    sockets.push(client);
    let echoed = "";
    client.on("data", (bytes: Buffer) => {
      echoed += bytes.toString("latin1");
      if (echoed.length >= probeText.length) resolve(echoed === probeText);
    });
    for (const event of ["error", "close"]) client.on(event, failed);
  });
  const timer = setTimeout(failed, probeTimeoutMs);
  const doesWork = await works;
  clearTimeout(timer);
  for (const socket of sockets) socket.destroy();
  server.close();
  return doesWork ? "onread" : "events";
}

import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { PlainSocket } from "../socket/byte-socket.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import type { TargetTls } from "./target-tls.ts";
import { UpstreamSocket } from "./upstream-socket.ts";

/** Where a connection goes, and how it is secured; null: not at all. */
export interface UpstreamPlace {
  /** IP literal: no name is ever looked up here. */
  readonly address: string;
  readonly port: number;
  readonly link: SecureLink | null;
}

export interface SecureLink {
  readonly tls: TargetTls;
  /** The name that the target's certificate must be for. */
  readonly name: string;
}

/** Begins to connect; `reader.onConnected`, with TLS after the handshake, or `onClosed` follows. */
export function openUpstreamSocket(buffers: ReadBuffers, reader: ByteReader, place: UpstreamPlace): ByteSocket {
  const { address, port, link } = place;
  const socket = new PlainSocket(buffers, reader);
  const onread = socket.onRead();
  if (link !== null) {
    socket.attachSecure(link.tls.connect({ address, port, name: link.name }, onread));
    return socket;
  }
  const plain = new UpstreamSocket({ noDelay: true, allowHalfOpen: true }, onread);
  socket.tellsAllFirst = true;
  socket.attach(plain);
  plain.connect({ host: address, port });
  return socket;
}

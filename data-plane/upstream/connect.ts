import { connect } from "node:net";
import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { PlainSocket } from "../socket/byte-socket.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";

/**
 * Begins to connect to an endpoint; `reader.onConnected` or `onClosed` follows. The address is a literal, so
 * no name is ever looked up here.
 */
export function openUpstreamSocket(
  buffers: ReadBuffers,
  reader: ByteReader,
  address: string,
  port: number,
): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  const socket = connect({ host: address, port, onread: plain.onRead(), noDelay: true, allowHalfOpen: true });
  plain.attach(socket);
  return plain;
}

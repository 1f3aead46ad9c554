import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { PlainSocket } from "../socket/byte-socket.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import { UpstreamSocket } from "./upstream-socket.ts";

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
  const socket = new UpstreamSocket({ noDelay: true, allowHalfOpen: true }, plain.onRead());
  plain.attach(socket);
  socket.connect({ host: address, port });
  return plain;
}

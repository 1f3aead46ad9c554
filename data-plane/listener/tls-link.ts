import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type ByteReader, type ByteSocket, PlainSocket } from "../socket/byte-socket.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";

/** Takes a secure socket over, which nobody has read from. @param carrier the TCP socket below it */
export function attachTls(socket: TLSSocket, carrier: Socket, buffers: ReadBuffers, reader: ByteReader): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  socket.allowHalfOpen = true;
  plain.attachWithEvents(socket, carrier);
  return plain;
}

/** Takes a socket over that is paused, and of which `seen` was read. */
export function attachPlain(socket: Socket, seen: Buffer, buffers: ReadBuffers, reader: ByteReader): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  socket.unshift(seen);
  plain.attachWithEvents(socket);
  socket.resume();
  return plain;
}

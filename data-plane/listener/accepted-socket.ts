import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, Socket } from "node:net";
import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { type OnRead, PlainSocket } from "../socket/byte-socket.ts";
import { ReadBuffer, type ReadBuffers } from "../socket/read-buffer.ts";

/** How accepted sockets are read: into our own memory, or, where Node does not allow that, by 'data' events. */
export type AcceptMode = "onread" | "events";

/**
 * node:net offers `onread` for outgoing sockets only. An accepted socket gets it by wrapping its handle once
 * more: the one private field of Node that the engine touches, and this is the one file that does. The
 * socket must not have been read yet (`pauseOnConnect`).
 */
interface SocketWithHandle extends Socket {
  _handle: unknown;
}

function wrapHandle(accepted: Socket, onread: OnRead): Socket {
  const handle = (accepted as SocketWithHandle)._handle;
  if (handle === null || handle === undefined) throw new Error("accepted socket has no handle");
  const options = { handle, onread, allowHalfOpen: true };
  return new Socket(options as object);
}

/** Takes an accepted socket over: from here on `reader` is told what happens on it. */
export function acceptSocket(accepted: Socket, mode: AcceptMode, buffers: ReadBuffers, reader: ByteReader): ByteSocket {
  const plain = new PlainSocket(buffers, reader);
  if (mode === "onread") plain.attach(wrapHandle(accepted, plain.onRead()));
  else {
    plain.attachWithEvents(accepted, (bytes) => new ReadBuffer(bytes, false));
    accepted.resume();
  }
  return plain;
}

/**
 * A listening server that comes from another thread has Node's default backlog (511), whatever it had before. Says it
 * again; where Node has no such method any more, the smaller one stays.
 */
export function restoreBacklog(server: Server, count: number): void {
  const { _handle: handle } = server as Server & { readonly _handle?: { listen?: (count: number) => number } };
  handle?.listen?.(count);
}

/**
 * Tries on a real connection whether wrapping works on this Node. Costs a millisecond at start; without it a
 * Node that changed inside would lose every connection instead of 6 us per request.
 */
export async function probeAcceptMode(): Promise<AcceptMode> {
  const sent = "probe";
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  const { promise: works, resolve } = Promise.withResolvers<boolean>();
  const buffer = Buffer.alloc(64);
  server.on("connection", (accepted) => {
    try {
      const socket = wrapHandle(accepted, {
        buffer: () => buffer,
        callback: (length) => {
          const isSame = buffer.toString("latin1", 0, length) === sent;
          socket.end(isSame ? sent : "");
          return true;
        },
      });
      socket.on("error", () => resolve(false));
    } catch {
      accepted.destroy();
      resolve(false);
    }
  });
  server.on("error", () => resolve(false));
  server.listen(0, "127.0.0.1", () => {
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1", () => client.write(sent));
    client.setTimeout(1_000, () => resolve(false));
    client.on("data", (bytes) => resolve(bytes.toString("latin1") === sent));
    client.on("end", () => resolve(false));
    client.on("error", () => resolve(false));
    works.finally(() => client.destroy());
  });
  const doesWork = await works;
  server.close();
  return doesWork ? "onread" : "events";
}

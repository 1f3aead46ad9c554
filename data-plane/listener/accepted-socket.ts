import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, Socket } from "node:net";
import type { ByteReader } from "../socket/byte-socket.ts";
import { type OnRead, PlainSocket } from "../socket/byte-socket.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";

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

/** @param onread absent for a socket that is read by node:stream or by node:http2 */
function wrapHandle(accepted: Socket, onread?: OnRead): Socket {
  const handle = (accepted as SocketWithHandle)._handle;
  if (handle === null || handle === undefined) throw new Error("accepted socket has no handle");
  const options = { handle, allowHalfOpen: true, ...(onread === undefined ? {} : { onread }) };
  return new Socket(options as object);
}

/** Takes an accepted socket over: from here on `reader` is told what happens on it. */
export function acceptSocket(
  accepted: Socket,
  mode: AcceptMode,
  buffers: ReadBuffers,
  reader: ByteReader,
): PlainSocket {
  const plain = new PlainSocket(buffers, reader);
  if (mode === "onread") plain.attach(wrapHandle(accepted, plain.onRead()));
  else {
    plain.attachWithEvents(accepted);
    accepted.resume();
  }
  return plain;
}

/**
 * Gives an accepted socket to one of Node's own servers (node:http2), from within onBytes. Three things matter:
 * a socket read by `onread` can end the process when node:http2 takes it, so the handle is wrapped once more; done
 * within the callback of a read, bodies that arrive later hang, so it happens in a turn of its own; and the bytes
 * that were read lie in memory that is read into again, so they are copied.
 *
 * @param seen all that has been read
 * @param take gets a socket that brings those bytes first; not called when the client is gone by then
 */
export function handOverSocket(
  plain: PlainSocket,
  mode: AcceptMode,
  seen: Buffer,
  take: (socket: Socket) => void,
): void {
  const socket = plain.detach();
  const copy = Buffer.from(seen);
  if (mode === "events") socket.pause();
  setImmediate(() => {
    if (socket.destroyed) return;
    const fresh = mode === "events" ? socket : wrapHandle(socket);
    fresh.unshift(copy);
    take(fresh);
  });
}

/**
 * Takes a socket that was accepted, and of which nothing was read, away from whoever waits for it.
 * @returns it anew, paused, so that it can be posted to another thread; null when something was read, or it is gone
 */
export function takeUnread(accepted: Socket): Socket | null {
  const { _handle: handle } = accepted as SocketWithHandle;
  if (handle === null || handle === undefined || accepted.destroyed) return null;
  if (accepted.bytesRead > 0 || accepted.bytesWritten > 0) return null;
  const unread = new Socket({ handle, allowHalfOpen: true, pauseOnCreate: true } as object);
  (accepted as SocketWithHandle)._handle = null;
  return unread;
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

import type { Socket } from "node:net";

interface SocketWithQueue extends Socket {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/**
 * How much of the write under way the kernel has not taken yet. Node tells so only in a private field, which its own
 * socket timeout goes by as well; without it, a client that takes a large write in small sips would look like one that
 * takes nothing. 0 where there is no such field.
 */
export function unsentBytes(socket: Socket): number {
  return (socket as SocketWithQueue)._handle?.writeQueueSize ?? 0;
}

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { restoreBacklog } from "./accepted-socket.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Several threads, or processes, share the port: the kernel spreads connections over them. */
  readonly reusePort: boolean;
  /** Gets each connection, unread, and the listener's port. */
  readonly onConnection: (accepted: Socket, localPort: number) => void;
  /** Accepting failed, for want of file descriptors mostly: the connection waits, the listener stays. */
  readonly onError: (error: Error) => void;
}

/** Connections that may wait at a listener; the kernel's own limit (net.core.somaxconn) is mostly the same. */
const backlogCount = 4_096;

/** A bound address. */
export class Listener {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, { onConnection, onError }: Pick<ListenerOptions, "onConnection" | "onError">) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (accepted) => onConnection(accepted, this.port));
    server.on("error", onError);
  }

  /** Rejects when the address cannot be bound. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { host, port, reusePort } = options;
    // A paused socket was never read, which is what lets acceptSocket take its handle over.
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, reusePort, ipv6Only: host.includes(":"), backlog: backlogCount }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    return new Listener(server, options);
  }

  /** Goes on with a server that another thread has handed over, in the turn of the event loop in which it came. */
  static adopt(server: Server, options: Pick<ListenerOptions, "onConnection" | "onError">): Listener {
    restoreBacklog(server, backlogCount);
    return new Listener(server, options);
  }

  /**
   * The server, to be posted to another thread within this turn of the event loop. Connections that wait in its
   * queue go with it; closing it would reset them.
   */
  release(): Server {
    this.#server.removeAllListeners();
    return this.#server;
  }

  /** Accepts no more. The kernel resets what waits in the queue. */
  close(): void {
    this.#server.close();
  }
}

import type { ByteSocket } from "../socket/byte-socket.ts";
import type { TlsClient } from "./tls-client.ts";
import type { TunnelSide } from "./tunnel.ts";

/** The client's side of an exchange, as far as the proxy needs it. */
export interface ClientConnection {
  readonly socket: ByteSocket;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly scheme: "http" | "https";
  /** What TLS says of it; null on a plain connection. */
  readonly tls: TlsClient | null;
  /** Lets the request body flow into `relayRequestBytes`, also what has arrived already. */
  resumeBody(): void;
  pauseBody(): void;
  /** Nobody takes the body for a while. A little of it is read all the same: a client that leaves is noticed by that. */
  restBody(): void;
  /** Whether what is left of the request body is so little that it can be read and thrown away. */
  canDiscardBody(): boolean;
  /** The client takes no more for now; onDrain will tell. */
  awaitDrain(): void;
  /** The client has to wait a moment before its next request is read. */
  holdNext(): void;
  /** The connection's socket leaves HTTP. The connection itself only waits for it to be closed. */
  becomeTunnelSide(): TunnelSide;
  /** The answer is written. The connection takes its next request, or ends. */
  answered(keepAlive: boolean): void;
  /** Ends the connection so that the client sees that its answer is not whole. */
  cut(): void;
}

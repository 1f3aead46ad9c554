import type { Socket } from "node:net";

/** Counts of the admin port's connections and requests, as `GET /status` shows them. */
export interface ConnectionCount {
  readonly acceptedCount: number;
  readonly activeCount: number;
  readonly requestCount: number;
  readonly inFlightCount: number;
}

/** Counts connections by the requests that come over them: one that never sends a request is not the face's to see. */
export class ConnectionCounter {
  #counts = { acceptedCount: 0, activeCount: 0, requestCount: 0, inFlightCount: 0 };
  readonly #seen = new WeakSet<Socket>();

  get counts(): ConnectionCount {
    return { ...this.#counts };
  }

  /** Call when a request has arrived; the result when it is answered or its client has left. */
  countRequest(socket: Socket): () => void {
    if (!this.#seen.has(socket)) {
      this.#seen.add(socket);
      this.#counts.acceptedCount++;
      this.#counts.activeCount++;
      socket.once("close", () => this.#counts.activeCount--);
    }
    this.#counts.requestCount++;
    this.#counts.inFlightCount++;
    return () => this.#counts.inFlightCount--;
  }
}

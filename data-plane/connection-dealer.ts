import type { Socket } from "node:net";
import { MainListener } from "./listener/main-listener.ts";
import type { ListenPlace } from "./listener/proxy-server.ts";
import type { WorkerThread } from "./worker-thread.ts";

/** Connections that wait while no worker takes any. */
const WAITING_MAX = 1_024;

/** Accepts connections in the main thread and deals them to the workers in turn: the same number to each. */
export class ConnectionDealer {
  /** Who takes connections now. */
  readonly #takers: () => readonly WorkerThread[];
  readonly #onError: (error: Error) => void;
  readonly #waiting: { readonly socket: Socket; readonly localPort: number }[] = [];
  #listener: MainListener | null = null;
  #dealtCount = 0;

  constructor(takers: () => readonly WorkerThread[], onError: (error: Error) => void) {
    this.#takers = takers;
    this.#onError = onError;
  }

  /** Rejects when an address cannot be bound. @returns the port as bound */
  async open(place: ListenPlace): Promise<number> {
    this.#listener = await MainListener.open(place, (socket, port) => this.#deal(socket, port), this.#onError);
    return this.#listener.port;
  }

  #deal(socket: Socket, localPort: number): void {
    const takers = this.#takers();
    if (takers.length === 0) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ socket, localPort });
      else socket.destroy();
      return;
    }
    const taker = takers[this.#dealtCount++ % takers.length]!;
    try {
      taker.post({ type: "connection", socket, localPort }, [socket]);
    } catch (error) {
      socket.destroy();
      this.#onError(error as Error);
    }
  }

  /** A worker has begun to take connections: those that wait are dealt. */
  takersChanged(): void {
    for (const { socket, localPort } of this.#waiting.splice(0)) this.#deal(socket, localPort);
  }

  /** Goes on until no connection came for a second, or `timeoutMs` is over. */
  async drain(timeoutMs: number): Promise<void> {
    await this.#listener?.drain(timeoutMs);
  }

  close(): void {
    this.#listener?.close();
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }
}

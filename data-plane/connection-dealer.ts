import type { Socket } from "node:net";
import { ListenError } from "./listen-error.ts";
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
  readonly #waiting: { readonly socket: Socket; readonly localPort: number; readonly isTls: boolean }[] = [];
  readonly #listeners: MainListener[] = [];
  #dealtCount = 0;

  constructor(takers: () => readonly WorkerThread[], onError: (error: Error) => void) {
    this.#takers = takers;
    this.#onError = onError;
  }

  /** Errors: ListenError, with nothing left bound, when an address cannot be bound. @returns the ports as bound */
  async open(place: ListenPlace, tlsPlace: ListenPlace | null): Promise<{ port: number; tlsPort: number | null }> {
    try {
      const port = await this.#listen(place, false);
      return { port, tlsPort: tlsPlace === null ? null : await this.#listen(tlsPlace, true) };
    } catch (cause) {
      this.close();
      const { message, code } = cause as NodeJS.ErrnoException;
      throw new ListenError(message, code ?? "");
    }
  }

  async #listen(place: ListenPlace, isTls: boolean): Promise<number> {
    const deal = (socket: Socket, port: number) => this.#deal(socket, port, isTls);
    const listener = await MainListener.open(place, deal, this.#onError);
    this.#listeners.push(listener);
    return listener.port;
  }

  #deal(socket: Socket, localPort: number, isTls: boolean): void {
    const takers = this.#takers();
    if (takers.length === 0) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ socket, localPort, isTls });
      else socket.destroy();
      return;
    }
    const taker = takers[this.#dealtCount++ % takers.length]!;
    try {
      taker.post({ type: "connection", socket, localPort, isTls }, [socket]);
    } catch (error) {
      socket.destroy();
      this.#onError(error as Error);
    }
  }

  /** A worker has begun to take connections: those that wait are dealt. */
  takersChanged(): void {
    for (const { socket, localPort, isTls } of this.#waiting.splice(0)) this.#deal(socket, localPort, isTls);
  }

  /** Goes on until no connection came for a second, or `timeoutMs` is over. */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.drain(timeoutMs)));
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }
}

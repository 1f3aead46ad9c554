import type { Socket } from "node:net";
import { Listener } from "./listener.ts";
import type { ListenPlace } from "./proxy-server.ts";

const quietBeforeCloseMs = 1_000;
const checkIntervalMs = 50;

/**
 * Accepts connections in the main thread, for all workers: where the system does not let several threads listen on
 * one port, or where every worker is to get exactly its share.
 *
 * Cost: 30 to 45 us of CPU more per connection than workers that accept for themselves; nothing per request.
 */
export class MainListener {
  readonly port: number;
  readonly #listeners: readonly Listener[];
  #lastAcceptedAtMs = performance.now();

  private constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners;
    this.port = listeners[0]!.port;
  }

  /**
   * Binds every host. Rejects, with none of them bound, when one cannot be.
   * @param deal gets each connection, unread, and the listener's port
   */
  static async open(
    { hosts, port, reusePort }: ListenPlace,
    deal: (accepted: Socket, localPort: number) => void,
    onError: (error: Error) => void,
  ): Promise<MainListener> {
    const opened: Listener[] = [];
    let main: MainListener | null = null;
    const onConnection = (accepted: Socket, localPort: number) => {
      if (main !== null) main.#lastAcceptedAtMs = performance.now();
      deal(accepted, localPort);
    };
    try {
      for (const host of hosts) {
        opened.push(await Listener.open({ host, port: opened[0]?.port ?? port, reusePort, onConnection, onError }));
      }
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
    main = new MainListener(opened);
    return main;
  }

  /** Goes on accepting until no connection came for a second, or `timeoutMs` is over; then closes. */
  async drain(timeoutMs: number): Promise<void> {
    const startedAtMs = performance.now();
    for (;;) {
      const nowMs = performance.now();
      const quietMs = nowMs - Math.max(this.#lastAcceptedAtMs, startedAtMs);
      if (quietMs >= quietBeforeCloseMs || nowMs - startedAtMs >= timeoutMs) break;
      await new Promise((resolve) => setTimeout(resolve, checkIntervalMs));
    }
    this.close();
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
  }
}

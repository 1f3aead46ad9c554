import type { EndpointState } from "../balance/endpoint-state.ts";
import { defaultRequestLimits } from "../http1/field-lines.ts";
import { RequestHead } from "../http1/request-head.ts";
import { ProxyCounters } from "../proxy/proxy-counters.ts";
import { type ClientLimits, defaultClientLimits, type ProxyEngine } from "../proxy/proxy-engine.ts";
import { RequestIds } from "../proxy/request-id.ts";
import { SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import { UpstreamPool, type UpstreamPoolOptions } from "../upstream/upstream-pool.ts";
import { type AcceptMode, probeAcceptMode } from "./accepted-socket.ts";
import { Listener } from "./listener.ts";

export interface ProxyServerOptions {
  readonly hosts: readonly string[];
  /** 0 takes a free one, the same on every host. */
  readonly port: number;
  readonly reusePort: boolean;
  readonly endpoints: EndpointState;
  readonly version: string;
  readonly onEjected: ProxyEngine["onEjected"];
  readonly onDefect: (error: unknown) => void;
  readonly limits?: Partial<ClientLimits>;
  readonly upstreamPool?: UpstreamPoolOptions;
  /** Default: what works on this Node. */
  readonly acceptMode?: AcceptMode;
}

/** No new connection for so long: whoever sends them has noticed that we are leaving. */
const quietBeforeCloseMs = 1_000;

/** Everything of one worker: the engine, its listeners and the one timer. */
export class ProxyServer {
  readonly engine: ProxyEngine;
  readonly #listeners: Listener[] = [];
  readonly #ticking: NodeJS.Timeout;

  private constructor(options: ProxyServerOptions) {
    const wheel = new DeadlineWheel(options.onDefect);
    const buffers = new ReadBuffers();
    this.engine = {
      snapshots: new SnapshotHolder(options.endpoints),
      endpoints: options.endpoints,
      upstreams: new UpstreamPool(wheel, buffers, options.upstreamPool),
      buffers,
      wheel,
      requestIds: new RequestIds(),
      counters: new ProxyCounters(),
      limits: { ...defaultClientLimits, ...options.limits },
      version: options.version,
      isDraining: false,
      head: new RequestHead(defaultRequestLimits),
      onEjected: options.onEjected,
      onDefect: options.onDefect,
    };
    this.#ticking = setInterval(() => wheel.tick(), tickMs);
  }

  /** Binds every host. Rejects, with nothing left open, when one cannot be bound. */
  static async open(options: ProxyServerOptions): Promise<ProxyServer> {
    const acceptMode = options.acceptMode ?? (await probeAcceptMode());
    const server = new ProxyServer(options);
    try {
      for (const host of options.hosts) {
        const port = server.port === 0 ? options.port : server.port;
        const listener = new Listener(server.engine, { host, port, reusePort: options.reusePort, acceptMode });
        server.port = await listener.open();
        server.#listeners.push(listener);
      }
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** As bound. */
  port = 0;

  /**
   * Leaves without losing a request: answers say that the connection ends, new ones are still taken until none
   * came for a second, and then the listeners close. Exchanges have until `timeoutMs` in all.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.engine.isDraining = true;
    const startedAtMs = performance.now();
    const isQuiet = () => this.#listeners.every((listener) => listener.quietMs >= quietBeforeCloseMs);
    const left = () => timeoutMs - (performance.now() - startedAtMs);
    while (left() > 0 && !(performance.now() - startedAtMs >= quietBeforeCloseMs && isQuiet())) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(tickMs, Math.max(left(), 1))));
    }
    await this.close(Math.max(left(), 0));
  }

  /** Closes the listeners, then every connection: idle ones at once, the others when done or after `timeoutMs`. */
  async close(timeoutMs = 0): Promise<void> {
    this.engine.isDraining = true;
    await Promise.all(this.#listeners.map((listener) => listener.close(timeoutMs)));
    this.engine.upstreams.closeIdle();
    clearInterval(this.#ticking);
  }
}

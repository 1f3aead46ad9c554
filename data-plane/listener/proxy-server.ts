import type { Server, Socket } from "node:net";
import type { EndpointState } from "../balance/endpoint-state.ts";
import type { EndpointSet, WorkerConfig } from "../config/worker-config.ts";
import { RequestHead } from "../http1/request-head.ts";
import { AccessLog, type AccessLogOptions } from "../proxy/access-log.ts";
import { type ClientLimits, defaultClientLimits } from "../proxy/client-limits.ts";
import { LoadShedder } from "../proxy/load-shedder.ts";
import { Counter, ProxyCounters } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { RequestIds } from "../proxy/request-id.ts";
import { TrafficMetrics } from "../proxy/traffic-metrics.ts";
import { TrustedProxies } from "../proxy/trusted-proxies.ts";
import { SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import { UpstreamPool, type UpstreamPoolOptions } from "../upstream/upstream-pool.ts";
import { isShortage, restAfterShortage } from "./accept-shortage.ts";
import { type AcceptMode, probeAcceptMode } from "./accepted-socket.ts";
import { ClientConnections } from "./client-connections.ts";
import { Listener } from "./listener.ts";
import { NodeLoad } from "./node-load.ts";

export interface ProxyServerOptions {
  readonly endpoints: EndpointState;
  readonly version: string;
  /** Address ranges, as `parseRange` takes them. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Routes, and targets, with metrics of their own. Default 500. */
  readonly metricsSeriesMax?: number;
  /** Default: null, no request is logged. */
  readonly accessLog?: Pick<AccessLogOptions, "sampleRatio" | "send"> | null;
  readonly onEjected: ProxyEngine["onEjected"];
  readonly onDefect: (error: unknown) => void;
  readonly limits?: Partial<ClientLimits>;
  /** What the node's threads know of each other. Default: there is no other. */
  readonly load?: NodeLoad;
  readonly upstreamPool?: UpstreamPoolOptions;
  /** Default: what works on this Node. */
  readonly acceptMode?: AcceptMode;
}

/** Where to listen. */
export interface ListenPlace {
  readonly hosts: readonly string[];
  /** 0 takes a free one, the same on every host. */
  readonly port: number;
  readonly reusePort: boolean;
}

/** No new connection for so long: whoever sends them has noticed that we are leaving. */
const quietBeforeCloseMs = 1_000;

/** Everything of one worker: the engine, its listeners and the one timer. */
export class ProxyServer {
  readonly engine: ProxyEngine;
  readonly #connections: ClientConnections;
  readonly #listeners: Listener[] = [];
  readonly #ticking: NodeJS.Timeout;
  readonly #load: NodeLoad;
  #tickedAtMs = performance.now();

  private constructor(options: ProxyServerOptions, acceptMode: AcceptMode) {
    const wheel = new DeadlineWheel(options.onDefect);
    const buffers = new ReadBuffers();
    const counters = new ProxyCounters();
    const accessLog = options.accessLog ? openAccessLog(options.accessLog, counters) : null;
    const limits = { ...defaultClientLimits, ...options.limits };
    this.engine = {
      snapshots: new SnapshotHolder(options.endpoints),
      endpoints: options.endpoints,
      upstreams: new UpstreamPool(wheel, buffers, options.upstreamPool),
      buffers,
      wheel,
      requestIds: new RequestIds(),
      counters,
      traffic: new TrafficMetrics(options.metricsSeriesMax ?? 500),
      accessLog,
      limits,
      shedder: new LoadShedder({ lagMs: limits.shedLagMs }),
      version: options.version,
      trustedProxies: options.trustedProxies?.length ? new TrustedProxies(options.trustedProxies) : null,
      isDraining: false,
      head: new RequestHead(limits),
      onEjected: options.onEjected,
      onDefect: options.onDefect,
    };
    this.#load = options.load ?? NodeLoad.create(1);
    this.#connections = new ClientConnections(this.engine, this.#load, acceptMode);
    this.#ticking = setInterval(() => this.#tick(), tickMs);
  }

  /** Timers of connections, and how late this comes: the lag of the event loop. */
  #tick(): void {
    const nowMs = performance.now();
    const elapsedMs = nowMs - this.#tickedAtMs;
    this.#tickedAtMs = nowMs;
    const { shedder, wheel } = this.engine;
    shedder.sampleLag(elapsedMs, Math.max(0, elapsedMs - tickMs));
    shedder.setMemoryRatio(this.#load.memoryRatio);
    wheel.tick();
    this.engine.accessLog?.flush();
  }

  #acceptFailed(error: Error): void {
    if (!isShortage(error)) {
      this.engine.onDefect(error);
      return;
    }
    this.engine.counters.add(Counter.accept_pauses);
    // What is only kept for later is better used for who waits now.
    this.engine.upstreams.closeIdle();
    restAfterShortage();
  }

  /** Ready to serve, but listening nowhere yet. */
  static async create(options: ProxyServerOptions): Promise<ProxyServer> {
    return new ProxyServer(options, options.acceptMode ?? (await probeAcceptMode()));
  }

  /** Ready and listening. Rejects, with nothing left open, when a host cannot be bound. */
  static async open(options: ProxyServerOptions & ListenPlace): Promise<ProxyServer> {
    const server = await ProxyServer.create(options);
    try {
      await server.listen(options);
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** As bound, 0 before. */
  port = 0;

  /** Binds every host. Rejects, with none of them bound, when one cannot be. */
  async listen({ hosts, port, reusePort }: ListenPlace): Promise<void> {
    const opened: Listener[] = [];
    try {
      for (const host of hosts) {
        const wanted = opened[0]?.port ?? port;
        opened.push(await Listener.open({ host, port: wanted, reusePort, ...this.#hooks }));
      }
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
    this.#listenOn(opened);
  }

  /** Goes on where another thread has left off; to be called in the turn of the event loop in which these came. */
  adopt(servers: readonly Server[]): void {
    this.#listenOn(servers.map((server) => Listener.adopt(server, this.#hooks)));
  }

  #listenOn(listeners: readonly Listener[]): void {
    this.#listeners.push(...listeners);
    this.port = listeners[0]?.port ?? this.port;
  }

  get #hooks() {
    return {
      onConnection: (accepted: Socket, localPort: number) => this.#connections.accept(accepted, localPort),
      onError: (error: Error) => this.#acceptFailed(error),
    };
  }

  /** Serves a config from now on. Throws when it cannot be built; the one before then stays. */
  apply(config: WorkerConfig, sets: readonly EndpointSet[]): void {
    this.engine.snapshots.apply(config, sets);
    this.#leaveFormerEndpoints();
  }

  /** Serves other endpoints under the same config. */
  applyEndpoints(sets: readonly EndpointSet[]): void {
    this.engine.snapshots.applyEndpoints(sets);
    this.#leaveFormerEndpoints();
  }

  #leaveFormerEndpoints(): void {
    this.engine.upstreams.retainOnly((this.engine.snapshots.current?.pools ?? []).map(({ set }) => set));
  }

  /** Takes a connection that another thread has accepted. */
  accept(accepted: Socket, localPort: number): void {
    this.#connections.accept(accepted, localPort);
  }

  /** The listening servers, for another thread: to be posted within this turn of the event loop. */
  release(): Server[] {
    return this.#listeners.splice(0).map((listener) => listener.release());
  }

  /**
   * Leaves without losing a request: answers say that the connection ends, new ones are still taken until none
   * came for a second, or for half of the time, and then the listeners close. Exchanges have until `timeoutMs` in all:
   * where connections never pause, those taken last have the other half.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.engine.isDraining = true;
    const startedAtMs = performance.now();
    const left = () => timeoutMs - (performance.now() - startedAtMs);
    const isQuiet = () => Math.min(this.#connections.quietMs, performance.now() - startedAtMs) >= quietBeforeCloseMs;
    // Without listeners of its own nothing more comes: who listens has stopped before.
    while (this.#listeners.length > 0 && left() > timeoutMs / 2 && !isQuiet()) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(tickMs, Math.max(left() - timeoutMs / 2, 1))));
    }
    this.#closeListeners();
    // Who connected last may not have asked yet: cut now, it would meet a reset.
    while (this.#connections.count > 0 && left() > 0 && this.#connections.quietMs < quietBeforeCloseMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(tickMs, Math.max(left(), 1))));
    }
    await this.close(Math.max(left(), 0));
  }

  /**
   * Leaves to a successor: after `release` nothing new comes, and there is no hurry. An idle client learns with its
   * next answer that its connection ends, so that none meets a closed one; those that ask nothing have `timeoutMs`.
   */
  async retire(timeoutMs: number): Promise<void> {
    this.engine.isDraining = true;
    await this.#connections.emptied(timeoutMs);
    await this.close();
  }

  /** Ends every connection within this turn of the event loop, whatever is under way on it. */
  cut(): void {
    this.#connections.cut();
  }

  #closeListeners(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }

  /** Closes the listeners, then every connection: idle ones at once, the others when done or after `timeoutMs`. */
  async close(timeoutMs = 0): Promise<void> {
    this.engine.isDraining = true;
    this.#closeListeners();
    this.#connections.closeIdle();
    await this.#connections.emptied(timeoutMs);
    this.engine.upstreams.closeIdle();
    this.engine.accessLog?.flush();
    clearInterval(this.#ticking);
  }
}

function openAccessLog(options: Pick<AccessLogOptions, "sampleRatio" | "send">, counters: ProxyCounters): AccessLog {
  const onDropped = () => counters.add(Counter.access_log_lines_dropped);
  return new AccessLog({ ...options, onDropped, nowUnixMs: Date.now });
}

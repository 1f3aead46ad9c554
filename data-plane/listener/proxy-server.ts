import type { Server, Socket } from "node:net";
import type { ConfigPage } from "../config/encoded-config.ts";
import type { TlsSettings } from "../config/tls-settings.ts";
import type { EndpointSet, WorkerConfig } from "../config/worker-config.ts";
import { RequestHead } from "../http1/request-head.ts";
import { AccessLog, type AccessLogOptions } from "../proxy/access-log.ts";
import { startChosen } from "../proxy/attempt.ts";
import { type ClientLimits, defaultClientLimits } from "../proxy/client-limits.ts";
import { HeldClients } from "../proxy/held-clients.ts";
import { HttpDate } from "../proxy/http-date.ts";
import { LoadShedder } from "../proxy/load-shedder.ts";
import { OverloadAnswers } from "../proxy/overload-answers.ts";
import { type OnHealthFlip, PassiveChecks } from "../proxy/passive-checks.ts";
import { Counter, ProxyCounters } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { RequestIds } from "../proxy/request-id.ts";
import { StallWatch } from "../proxy/stall-watch.ts";
import { TrafficMetrics } from "../proxy/traffic-metrics.ts";
import { TrustedProxies } from "../proxy/trusted-proxies.ts";
import { TurnQueue } from "../proxy/turn-queue.ts";
import { type ConfigHead, SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { untilDone } from "../steps/until-done.ts";
import type { EndpointCounts } from "../telemetry/endpoint-counts.ts";
import { DeadlineWheel, tickMs } from "../upstream/deadline-wheel.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import { type HttpPing, httpPing } from "../upstream/http-ping.ts";
import { UpstreamPool, type UpstreamPoolOptions } from "../upstream/upstream-pool.ts";
import { isShortage, restAfterShortage } from "./accept-shortage.ts";
import { type AcceptMode, probeAcceptMode } from "./accepted-socket.ts";
import { ClientConnections, type GiveConnection } from "./client-connections.ts";
import { Listener } from "./listener.ts";
import { LoopRest } from "./loop-rest.ts";
import { NodeLoad } from "./node-load.ts";

export interface ProxyServerOptions {
  readonly endpoints: EndpointTable;
  /** Threads that carry the node's traffic, this one included. Default: 1. */
  readonly workerCount?: number;
  readonly version: string;
  /** Address ranges, as `parseRange` takes them. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Address ranges likewise, of clients that may ask for a request's attempts. Default: none. */
  readonly debugFrom?: readonly string[];
  /** Routes, and targets, with metrics of their own. Default 500. */
  readonly metricsSeriesMax?: number;
  /** Default: nobody reads them. */
  readonly endpointCounts?: EndpointCounts;
  /** Default: null, no request is logged. */
  readonly accessLog?: Pick<AccessLogOptions, "sampleRatio" | "send"> | null;
  readonly onEjected: ProxyEngine["onEjected"];
  /** Default: over a socket. */
  readonly ping?: HttpPing;
  readonly onTrial: ProxyEngine["onTrial"];
  /** Default: nobody is told. */
  readonly onHealthFlip?: OnHealthFlip;
  readonly onDefect: (error: unknown) => void;
  readonly limits?: Partial<ClientLimits>;
  /** What the node's threads know of each other. Default: there is no other. */
  readonly load?: NodeLoad;
  readonly upstreamPool?: UpstreamPoolOptions;
  /** Default: null, it listens for no TLS. */
  readonly tls?: TlsSettings | null;
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

/** Listening servers, as one thread hands them to another. */
export interface ListeningServers {
  readonly plain: readonly Server[];
  readonly tls: readonly Server[];
}

/** No new connection for so long: whoever sends them has noticed that we are leaving. */
const quietBeforeCloseMs = 1_000;

/** Everything of one worker: the engine, its listeners and the one timer. */
export class ProxyServer {
  readonly engine: ProxyEngine;
  readonly #connections: ClientConnections;
  readonly #listeners: Listener[] = [];
  readonly #tlsListeners: Listener[] = [];
  readonly #ticking: NodeJS.Timeout;
  readonly #load: NodeLoad;
  readonly #rest = new LoopRest();
  #isOutOfDescriptors = false;
  /** Clients let go with the last tick: what they ask is new load that was asked for. */
  #invitedCount = 0;

  private constructor(options: ProxyServerOptions, acceptMode: AcceptMode) {
    const wheel = new DeadlineWheel(options.onDefect);
    const buffers = new ReadBuffers();
    const counters = new ProxyCounters();
    const accessLog = options.accessLog ? openAccessLog(options.accessLog, counters) : null;
    const limits = { ...defaultClientLimits, ...options.limits };
    this.engine = {
      snapshots: new SnapshotHolder(options.endpoints, options.workerCount ?? 1),
      endpoints: options.endpoints,
      stalls: new StallWatch(options.ping ?? httpPing),
      turns: new TurnQueue({
        ...{ table: options.endpoints.admissions, wheel, counters, onTurn: startChosen, onDefect: options.onDefect },
      }),
      passiveChecks: new PassiveChecks(options.endpoints, options.onHealthFlip ?? (() => {})),
      upstreams: new UpstreamPool(wheel, buffers, options.upstreamPool),
      buffers,
      wheel,
      requestIds: new RequestIds(),
      date: new HttpDate(),
      counters,
      traffic: new TrafficMetrics(options.metricsSeriesMax ?? 500, options.endpointCounts),
      accessLog,
      limits,
      shedder: new LoadShedder({ lagMs: limits.shedLagMs, tickMs }),
      held: new HeldClients(limits.shedHoldMs, options.onDefect),
      overloadAnswers: new OverloadAnswers(options.version),
      version: options.version,
      trustedProxies: options.trustedProxies?.length ? new TrustedProxies(options.trustedProxies) : null,
      debugFrom: options.debugFrom?.length ? new TrustedProxies(options.debugFrom) : null,
      checksServerNames: options.tls?.checksServerNames ?? true,
      slowTakerCutAt: Number.NEGATIVE_INFINITY,
      isDraining: false,
      head: new RequestHead(limits),
      onEjected: options.onEjected,
      onTrial: options.onTrial,
      onDefect: options.onDefect,
    };
    this.#load = options.load ?? NodeLoad.create(1);
    this.#connections = new ClientConnections(this.engine, {
      load: this.#load,
      acceptMode,
      tls: options.tls ?? null,
    });
    this.#ticking = setInterval(() => this.#tick(), tickMs);
  }

  /** Timers of connections, and what tells the shedder how the event loop lags. */
  #tick(): void {
    const { shedder, held, wheel, stalls, turns } = this.engine;
    const nowMs = performance.now();
    shedder.turned(nowMs, this.#invitedCount);
    shedder.memoryRatio = this.#load.memoryRatio;
    this.#invitedCount = held.letGo(nowMs, shedder.roomCount);
    wheel.tick();
    stalls.look(nowMs);
    turns.look();
    this.engine.accessLog?.flush();
    this.#heedShortage();
  }

  /**
   * Keeps no more idle connections to targets than there are descriptors for; and where descriptors have run out all
   * the same, keeps none, and keeps a loop that cannot accept from spinning.
   */
  #heedShortage(): void {
    this.#load.ownUpstreamConnectionCount = this.engine.upstreams.openCount;
    const { isOutOfDescriptors: isOut, surplusCount } = this.#load;
    this.engine.upstreams.isTight = surplusCount >= 0;
    if (surplusCount > 0) this.engine.upstreams.closeSomeIdle(surplusCount);
    if (isOut && !this.#isOutOfDescriptors) this.engine.counters.add(Counter.accept_pauses);
    this.#isOutOfDescriptors = isOut;
    // What is only kept for later is better used for who waits now.
    if (isOut) this.engine.upstreams.closeIdle();
    this.#rest.set(isOut && this.#listeners.length + this.#tlsListeners.length > 0);
  }

  /** Not for want of descriptors where libuv keeps that to itself: see watchDescriptors. */
  #acceptFailed(error: Error): void {
    if (!isShortage(error)) {
      this.engine.onDefect(error);
      return;
    }
    this.engine.counters.add(Counter.accept_pauses);
    this.engine.upstreams.closeIdle();
    restAfterShortage();
  }

  /** Ready to serve, but listening nowhere yet. */
  static async create(options: ProxyServerOptions): Promise<ProxyServer> {
    return new ProxyServer(options, options.acceptMode ?? (await probeAcceptMode()));
  }

  /** Ready and listening. Rejects, with nothing left open, when a host cannot be bound. */
  static async open(
    options: ProxyServerOptions & ListenPlace,
    tlsPlace: ListenPlace | null = null,
  ): Promise<ProxyServer> {
    const server = await ProxyServer.create(options);
    try {
      await server.listen(options, tlsPlace);
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** As bound, 0 before. */
  port = 0;
  /** As bound; null without a listener for TLS. */
  tlsPort: number | null = null;

  /** Binds every host. Rejects, with none of them bound, when one cannot be. */
  async listen(place: ListenPlace, tlsPlace: ListenPlace | null = null): Promise<void> {
    const opened: Listener[] = [];
    const openedTls: Listener[] = [];
    try {
      await this.#bind(place, false, opened);
      if (tlsPlace !== null) await this.#bind(tlsPlace, true, openedTls);
    } catch (error) {
      for (const listener of [...opened, ...openedTls]) listener.close();
      throw error;
    }
    this.#listenOn(opened, openedTls);
  }

  async #bind({ hosts, port, reusePort }: ListenPlace, isTls: boolean, opened: Listener[]): Promise<void> {
    for (const host of hosts) {
      const wanted = opened[0]?.port ?? port;
      opened.push(await Listener.open({ host, port: wanted, reusePort, ...this.#hooks(isTls) }));
    }
  }

  /** Goes on where another thread has left off; to be called in the turn of the event loop in which these came. */
  adopt({ plain, tls }: ListeningServers): void {
    const adopted = (servers: readonly Server[], isTls: boolean) =>
      servers.map((server) => Listener.adopt(server, this.#hooks(isTls)));
    this.#listenOn(adopted(plain, false), adopted(tls, true));
  }

  #listenOn(listeners: readonly Listener[], tlsListeners: readonly Listener[]): void {
    this.#listeners.push(...listeners);
    this.#tlsListeners.push(...tlsListeners);
    this.port = listeners[0]?.port ?? this.port;
    this.tlsPort = tlsListeners[0]?.port ?? this.tlsPort;
  }

  #hooks(isTls: boolean) {
    return {
      onConnection: (accepted: Socket, localPort: number) => this.accept(accepted, localPort, isTls),
      onError: (error: Error) => this.#acceptFailed(error),
    };
  }

  /**
   * Serves a config, all of it or a change of the one before; see SnapshotHolder. Then lets go of connections to where
   * no endpoint is any more.
   * @param onServed called when requests have it, between two steps
   */
  *applySteps(head: ConfigHead, pages: Iterable<ConfigPage>, onServed: () => void): Generator<void, void> {
    const forgetSteps = yield* this.engine.snapshots.applySteps(head, pages);
    if (head.tls !== null) this.#connections.apply(head.tls);
    this.#follow();
    onServed();
    const { mayLeavePlaces } = yield* forgetSteps;
    if (mayLeavePlaces) yield* this.#leaveSteps();
    yield* this.engine.snapshots.tidySteps();
  }

  /** The same in one go, of a config and sets that are there as a whole. */
  apply(config: WorkerConfig, sets: readonly EndpointSet[]): void {
    this.engine.snapshots.apply(config, sets);
    this.#connections.apply(config.tls);
    this.#follow();
    untilDone(this.#leaveSteps());
  }

  /** Serves other endpoints under the same config. */
  *endpointSteps(sets: readonly EndpointSet[]): Generator<void, void> {
    yield* this.engine.snapshots.endpointSteps(sets);
    this.#follow();
    yield* this.#leaveSteps();
  }

  /** The same in one go. */
  applyEndpoints(sets: readonly EndpointSet[]): void {
    untilDone(this.endpointSteps(sets));
  }

  /** Requests that wait for their turn go on with the pools that are there now. */
  #follow(): void {
    const { current } = this.engine.snapshots;
    if (current !== null) this.engine.turns.follow(current);
  }

  /** Lets go of connections to where no endpoint is any more. */
  *#leaveSteps(): Generator<void, void> {
    const { current } = this.engine.snapshots;
    const sets = (current?.pools ?? []).flatMap((pool) => pool?.set ?? []);
    yield* this.engine.upstreams.retainSteps(sets, current?.tlsKeys ?? new Set());
  }

  /** Takes a connection, whichever thread has accepted it. @param isTls by the port that it came to */
  accept(accepted: Socket, localPort: number, isTls: boolean): void {
    this.#connections.accept(accepted, localPort, isTls);
  }

  /** The listening servers, for another thread: to be posted within this turn of the event loop. */
  release(): ListeningServers {
    return {
      plain: this.#listeners.splice(0).map((listener) => listener.release()),
      tls: this.#tlsListeners.splice(0).map((listener) => listener.release()),
    };
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
    const listens = this.#listeners.length + this.#tlsListeners.length > 0;
    while (listens && left() > timeoutMs / 2 && !isQuiet()) {
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

  /** Gives away every connection of which nothing was read. */
  giveUnread(give: GiveConnection): void {
    this.#connections.giveUnread(give);
  }

  /** Ends every connection within this turn of the event loop, whatever is under way on it. */
  cut(): void {
    this.#connections.cut();
  }

  #closeListeners(): void {
    for (const listeners of [this.#listeners, this.#tlsListeners]) {
      for (const listener of listeners.splice(0)) listener.close();
    }
  }

  /** Closes the listeners, then every connection: idle ones at once, the others when done or after `timeoutMs`. */
  async close(timeoutMs = 0): Promise<void> {
    this.engine.isDraining = true;
    this.#closeListeners();
    this.#connections.closeIdle();
    await this.#connections.emptied(timeoutMs);
    this.engine.upstreams.closeIdle();
    this.engine.accessLog?.flush();
    this.engine.turns.close();
    clearInterval(this.#ticking);
    this.#rest.set(false);
  }
}

function openAccessLog(options: Pick<AccessLogOptions, "sampleRatio" | "send">, counters: ProxyCounters): AccessLog {
  const onDropped = (lineCount: number) => counters.add(Counter.access_log_lines_dropped, lineCount);
  return new AccessLog({ ...options, onDropped, nowUnixMs: Date.now });
}

import type { ResourceLimits } from "node:worker_threads";
import type { EndpointSet, WorkerConfig } from "./config/worker-config.ts";
import { type TrafficSum, TrafficTotals, type WorkerTraffic } from "./status/traffic-totals.ts";
import { isLevel } from "./telemetry/counters.ts";
import type { Timers } from "./upstream/timers.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./worker-message.ts";
import { type WorkerCounters, WorkerSlot } from "./worker-slot.ts";

export interface WorkerGroupOptions {
  readonly entry: URL;
  readonly count: number;
  readonly proxyHosts: readonly string[];
  /** 0: the first worker takes a free port, and the others that one. */
  readonly proxyPort: number;
  readonly endpointTable: SharedArrayBuffer;
  readonly version: string;
  readonly settings: WorkerSettings;
  readonly resourceLimits: ResourceLimits;
  readonly timers: Timers;
  /** A worker that owes an answer for so long is replaced. */
  readonly answerTimeoutMs: number;
  /** The endpoint sets as they are now, for a worker that starts. */
  readonly currentSets: () => readonly EndpointSet[];
  readonly onEjected: (poolKey: string, endpointRow: number, cause: string) => void;
  /** Lines of the access log; `taken` must be called when they are written, or given up. */
  readonly onAccessLog: (lines: Uint8Array, lineCount: number, taken: () => void) => void;
  /** A worker was lost; its successor starts after `delayMs`. */
  readonly onLost: (workerIndex: number, cause: string, delayMs: number) => void;
}

/** Why the proxy port could not be opened. */
export class ListenError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

export type DeliveryOutcome = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** A config on its way to all workers. */
interface Delivery {
  readonly waitingFor: Set<number>;
  lossCount: number;
  readonly resolve: (outcome: DeliveryOutcome) => void;
}

const TICK_MS = 1_000;
const RESTART_DELAY_MS = 50;
const RESTART_DELAY_MAX_MS = 5_000;
/** A worker lost so long after the one before it in its slot is replaced without delay again. */
const CALM_TICKS = 60;
/** So many losses while a config is on its way mean that the config is to blame. */
const LOSSES_MAX = 3;
const COUNTERS_WAIT_MS = 1_000;
/** A worker that has yet to listen gets so many times the usual patience: all of them start at one moment. */
const START_PATIENCE = 3;

/** One place with the state that the group keeps of it. */
interface Place {
  readonly slot: WorkerSlot;
  /** Ticks in a row in which the worker owed an answer. */
  ticksAwaited: number;
  ticksSinceLoss: number;
  /** Losses without a calm time between them. */
  lossCount: number;
  cancelRestart: () => void;
}

/**
 * The traffic workers of a node: starts them, sends all of them the same config and tells when each serves it, and
 * puts a successor in the place of each that dies or falls silent.
 */
export class WorkerGroup {
  readonly #options: WorkerGroupOptions;
  readonly #places: Place[];
  #port: number;
  #config: WorkerConfig | null = null;
  #delivery: Delivery | null = null;
  #starting: { readonly resolve: (port: number) => void; readonly reject: (error: Error) => void } | null = null;
  #isEnding = false;
  #isWithdrawing = false;
  #cancelTick = () => {};
  /** What workers that are gone had counted. */
  readonly #formerCounters: Record<string, number> = {};
  readonly #formerTraffic: TrafficTotals;
  readonly #drained = new Set<number>();
  #onDrained = () => {};

  constructor(options: WorkerGroupOptions) {
    this.#options = options;
    this.#port = options.proxyPort;
    this.#formerTraffic = new TrafficTotals(options.settings.metricsSeriesMax);
    this.#places = Array.from({ length: options.count }, (_, index) => ({
      slot: new WorkerSlot(index, {
        entry: options.entry,
        resourceLimits: options.resourceLimits,
        onMessage: (slot, message) => this.#receive(slot, message),
        onLost: (slot, cause) => this.#lost(slot, cause),
      }),
      ticksAwaited: 0,
      ticksSinceLoss: CALM_TICKS,
      lossCount: 0,
      cancelRestart: () => {},
    }));
  }

  /**
   * Starts every worker; resolves with the port when all of them listen.
   * Errors: ListenError; any other Error when a worker dies before it listens.
   */
  start(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#startWorker(this.#places[0]!);
      this.#tickLater();
    });
  }

  get listeningCount(): number {
    return this.#places.filter(({ slot }) => slot.port !== null).length;
  }

  /** Workers that serve a config, be it the newest or the one before. */
  get servingCount(): number {
    return this.#places.filter(({ slot }) => slot.carriesTraffic).length;
  }

  /**
   * Sends every worker a config, and every successor from now on. Resolves when all serve it, or when one could not
   * apply it, or when too many were lost with it; it is then for the caller to deliver another one.
   * One at a time.
   */
  deliver(config: WorkerConfig, endpointSets: readonly EndpointSet[]): Promise<DeliveryOutcome> {
    if (this.#delivery !== null) throw new Error("the delivery before has not ended");
    this.#config = config;
    return new Promise((resolve) => {
      const waitingFor = new Set(this.#places.map(({ slot }) => slot.index));
      this.#delivery = { waitingFor, lossCount: 0, resolve };
      for (const { slot } of this.#places) slot.post({ type: "config", config, endpointSets });
    });
  }

  /** Puts every worker back to having no config, by replacing it: for when the first config of all was refused. */
  withdraw(): void {
    this.#config = null;
    this.#isWithdrawing = true;
    for (const { slot } of this.#places) slot.end("its first config was refused");
    this.#isWithdrawing = false;
  }

  post(message: ToWorker): void {
    for (const { slot } of this.#places) slot.post(message);
  }

  /** Resolves when every worker has taken in, or will never see, what was posted until now. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.#places.map(({ slot }) => slot.requestCounters()));
  }

  /** What all workers of this run have counted. Waits at most a second for those that are busy. */
  async counters(): Promise<WorkerCounters> {
    let cancel = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.timers.after(COUNTERS_WAIT_MS, resolve);
    });
    await Promise.race([this.caughtUp(), timeout]);
    cancel();
    const sums: Record<string, number> = { ...this.#formerCounters };
    for (const { slot } of this.#places) addTo(sums, slot.counters);
    return sums;
  }

  /** What all workers of this run have carried, as told with the counters last. */
  traffic(): TrafficSum {
    const reports: WorkerTraffic[] = [];
    for (const { slot } of this.#places) {
      if (slot.report === null) continue;
      const connectionCount = slot.report.counters["connections_active"] ?? 0;
      reports.push({ ...slot.report, workerIndex: slot.index, connectionCount });
    }
    return this.#formerTraffic.sum(reports);
  }

  /** Lets every worker finish its requests; resolves when all have, or soon after `timeoutMs`. Ends them. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isEnding = true;
    for (const { slot, cancelRestart } of this.#places) {
      cancelRestart();
      if (!slot.isAlive) this.#drained.add(slot.index);
    }
    const done = new Promise<void>((resolve) => {
      this.#onDrained = resolve;
      this.#noteDrained();
      this.#options.timers.after(timeoutMs + TICK_MS, resolve);
    });
    this.post({ type: "drain", timeoutMs });
    await done;
    this.close();
  }

  /** Ends every worker at once. */
  close(): void {
    this.#isEnding = true;
    this.#cancelTick();
    for (const { slot, cancelRestart } of this.#places) {
      cancelRestart();
      slot.end("closing");
    }
  }

  #startWorker(place: Place): void {
    const { proxyHosts, endpointTable, version, settings } = this.#options;
    const { slot } = place;
    place.ticksAwaited = 0;
    slot.start({ workerIndex: slot.index, proxyHosts, proxyPort: this.#port, endpointTable, version, settings });
    if (this.#config === null) return;
    slot.post({ type: "config", config: this.#config, endpointSets: this.#options.currentSets() });
  }

  #receive(slot: WorkerSlot, message: FromWorker): void {
    switch (message.type) {
      case "listening":
        this.#listening(message.port);
        break;
      case "listen-failed":
        this.#starting?.reject(new ListenError(message.message, message.code));
        slot.end(`cannot listen: ${message.message}`);
        break;
      case "applied":
        if (slot.isServing) this.#applied(slot);
        break;
      case "apply-failed":
        // An answer to a config that was replaced meanwhile says nothing about the newest.
        if (slot.hasAnsweredConfig) this.#endDelivery({ ok: false, message: message.message });
        break;
      case "ejected":
        this.#options.onEjected(message.poolKey, message.endpointRow, message.cause);
        break;
      case "access-log": {
        const byteCount = message.lines.length;
        const taken = () => slot.post({ type: "access-log-taken", byteCount });
        this.#options.onAccessLog(message.lines, message.lineCount, taken);
        break;
      }
      case "drained":
        this.#drained.add(slot.index);
        this.#noteDrained();
        break;
    }
  }

  #listening(port: number): void {
    // A worker may have taken its config before it listened.
    for (const { slot } of this.#places) if (slot.isServing) this.#applied(slot);
    if (this.#starting === null) return;
    this.#port = port;
    // The others waited for the first, which finds the port.
    for (const place of this.#places) if (!place.slot.isAlive) this.#startWorker(place);
    if (this.listeningCount < this.#places.length) return;
    this.#starting.resolve(port);
    this.#starting = null;
  }

  #applied(slot: WorkerSlot): void {
    this.#delivery?.waitingFor.delete(slot.index);
    if (this.#delivery?.waitingFor.size === 0) this.#endDelivery({ ok: true });
  }

  #endDelivery(outcome: DeliveryOutcome): void {
    const delivery = this.#delivery;
    this.#delivery = null;
    delivery?.resolve(outcome);
  }

  #lost(slot: WorkerSlot, cause: string): void {
    const counted = Object.entries(slot.counters).filter(([name]) => !isLevel(name));
    addTo(this.#formerCounters, Object.fromEntries(counted));
    if (slot.report !== null) this.#formerTraffic.keep(slot.report.traffic);
    if (this.#isEnding) {
      this.#drained.add(slot.index);
      this.#noteDrained();
      return;
    }
    // With a config from disk it may be the config's fault, and then starting goes on without it.
    if (this.#starting !== null && this.#config === null && !this.#isWithdrawing) {
      this.#starting.reject(new Error(`worker ${slot.index} was lost before it listened: ${cause}`));
      this.#starting = null;
      this.close();
      return;
    }
    const place = this.#places[slot.index]!;
    const delayMs = restartDelayMs(place);
    place.ticksSinceLoss = 0;
    this.#options.onLost(slot.index, cause, delayMs);
    place.cancelRestart = this.#options.timers.after(delayMs, () => this.#startWorker(place));
    if (this.#delivery !== null && ++this.#delivery.lossCount >= LOSSES_MAX) {
      this.#endDelivery({
        ok: false,
        message: `${LOSSES_MAX} workers were lost while applying it; the last: ${cause}`,
      });
    }
  }

  #tickLater(): void {
    this.#cancelTick = this.#options.timers.after(TICK_MS, () => {
      this.#tick();
      if (!this.#isEnding) this.#tickLater();
    });
  }

  /**
   * Time is counted in ticks of this thread and not by the clock: when the whole process was stopped for a while,
   * the workers had no time to answer either.
   */
  #tick(): void {
    for (const place of this.#places) {
      const { slot } = place;
      place.ticksSinceLoss++;
      place.ticksAwaited = slot.isAwaited ? place.ticksAwaited + 1 : 0;
      const patience = this.#options.answerTimeoutMs * (slot.port === null ? START_PATIENCE : 1);
      if (place.ticksAwaited * TICK_MS >= patience) slot.end("gives no answer");
      // The worker's pulse; and keeps what a lost worker had counted from being lost with it.
      else if (slot.port !== null && !slot.isAwaited) void slot.requestCounters();
    }
  }

  #noteDrained(): void {
    if (this.#drained.size === this.#places.length) this.#onDrained();
  }
}

function restartDelayMs(place: Place): number {
  place.lossCount = place.ticksSinceLoss >= CALM_TICKS ? 0 : place.lossCount + 1;
  return place.lossCount === 0 ? 0 : Math.min(RESTART_DELAY_MS * 2 ** place.lossCount, RESTART_DELAY_MAX_MS);
}

function addTo(sums: Record<string, number>, counters: WorkerCounters): void {
  for (const [name, count] of Object.entries(counters)) sums[name] = (sums[name] ?? 0) + count;
}

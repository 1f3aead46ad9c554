import { nodeCapabilities } from "../../data-plane/capabilities.ts";
import { ControlPlaneSearch } from "../../data-plane/sync/control-plane-search.ts";
import { StatsReports } from "../../data-plane/sync/stats-reports.ts";
import { SYNC_CLIENT_DEFAULTS } from "../../data-plane/sync/sync-client-options.ts";
import { type ControlMessage, type StreamEnd, SyncStream } from "../../data-plane/sync/sync-stream.ts";
import type { Delta, Holding, SnapshotBegin } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";

const clock = {
  monotonicMs: () => performance.now(),
  unixMs: () => Date.now(),
  after(delayMs: number, run: () => void) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

const pushTimeCount = 128;

/** What a node with two workers tells of itself. */
async function stats() {
  const worker = { role: "serving", publication: 0n, requestCount: 0n, connectionCount: 0n, heapBytes: 16_000_000n };
  const workers = [1, 2].map((number) => ({ number, ...worker }));
  const requests = { requestCount: 0n, failureCount: 0n, connectionCount: 0n, lostWorkerCount: 0n };
  return { ...requests, endpointCount: 1_000, healthyEndpointCount: 1_000, workers };
}

/**
 * A node with the stream and the waits of a real one, of which a thousand fit into a process: it keeps no content, but
 * what names it, and serves everything at once. It tells how it does as often as a real one, and of no traffic. A delta
 * that does not begin from what it holds it refuses.
 */
export class FleetNode {
  readonly #id: string;
  readonly #address: string;
  readonly #onChange: () => void;
  readonly #search: ControlPlaneSearch;
  #stream: SyncStream | null = null;
  #openedAtMs: number | null = null;
  #begun: SnapshotBegin | null = null;
  #stopHeartbeat: () => void = () => {};
  readonly #reports = new StatsReports(stats, clock, SYNC_CLIENT_DEFAULTS.statsMs);
  /** When the last pushes came, as a ring. */
  readonly #pushedAtMs = new Float64Array(pushTimeCount).fill(Number.NEGATIVE_INFINITY);
  #next = 0;
  held: Pick<Holding, "epoch" | "publication" | "stateHash"> | null = null;
  isConnected = false;
  /** On this stream it was told that it serves the newest, or has acked something. */
  isInSync = false;
  pushCount = 0;
  /** Most pushes within any second. */
  mostPushesPerSecond = 0;
  wholeCount = 0;
  refusalCount = 0;
  turnedAwayCount = 0;

  /** @param address host:port of the control plane @param onChange it connected, came into sync or lost its stream */
  constructor(id: string, address: string, onChange: () => void) {
    this.#id = id;
    this.#address = address;
    this.#onChange = onChange;
    const onFound = () => this.#open();
    this.#search = new ControlPlaneSearch({
      ...{ controlPlanes: [address], random: Math.random, clock, onFound, onAbsent() {} },
    });
  }

  connect(): void {
    this.#search.start();
  }

  #open(): void {
    this.#openedAtMs = null;
    this.#stream = new SyncStream({
      address: this.#address,
      clock,
      timing: SYNC_CLIENT_DEFAULTS,
      messageMaxBytes: SYNC_CLIENT_DEFAULTS.bodyBytesMax,
      entityMaxCount: SYNC_CLIENT_DEFAULTS.entityMaxCount,
      onOpen: () => this.#opened(),
      onMessage: (message) => this.#receive(message),
      onClose: (end) => this.#ended(end),
    });
    const value = {
      nodeId: this.#id,
      hostname: "simulated",
      build: "simulated",
      capabilities: [...nodeCapabilities],
      workerCount: 1,
    };
    this.#stream.send({ case: "hello", value: { ...value, ...(this.held === null ? {} : { have: this.held }) } });
  }

  forgetCounts(): void {
    this.pushCount = this.mostPushesPerSecond = this.wholeCount = this.refusalCount = this.turnedAwayCount = 0;
    this.#pushedAtMs.fill(Number.NEGATIVE_INFINITY);
  }

  #opened(): void {
    this.#openedAtMs = performance.now();
    this.isConnected = true;
    this.#scheduleHeartbeat();
    if (this.#stream !== null) this.#reports.start(this.#stream);
    this.#onChange();
  }

  #scheduleHeartbeat(): void {
    this.#stopHeartbeat = clock.after(SYNC_CLIENT_DEFAULTS.heartbeatMs * (0.8 + 0.4 * Math.random()), () => {
      if (this.#stream?.isBacklogged === false) this.#stream.send({ case: "heartbeat", value: this.held ?? {} });
      this.#scheduleHeartbeat();
    });
  }

  #ended({ retryAfterMs, isUnanswered = false }: StreamEnd): void {
    this.#stopHeartbeat();
    this.#reports.stop();
    this.#stream = null;
    this.#begun = null;
    if (retryAfterMs > 0) this.turnedAwayCount++;
    const openMs = this.#openedAtMs === null ? null : performance.now() - this.#openedAtMs;
    this.#search.ended({ address: this.#address, openMs, retryAfterMs, isUnanswered });
    this.isConnected = false;
    this.isInSync = false;
    this.#onChange();
  }

  #receive(message: ControlMessage): void {
    if (message.case === "snapshotBegin") this.#begun = message.value;
    else if (message.case === "snapshotEnd" && this.#begun !== null) {
      this.wholeCount++;
      this.#serve(this.#begun);
      this.#begun = null;
    } else if (message.case === "delta") this.#takeDelta(message.value);
    else if (message.case === "upToDate") this.#inSync();
  }

  #takeDelta(delta: Delta): void {
    if (delta.basePublication === this.held?.publication) {
      this.#serve(delta);
      return;
    }
    this.refusalCount++;
    const { publication } = delta;
    const value = { publication, keptPublication: this.held?.publication ?? 0n, reason: "unknown_base" };
    this.#stream?.send({ case: "nack", value });
  }

  #serve({ epoch, publication, stateHash }: SnapshotBegin | Delta): void {
    this.held = { publication, stateHash, ...(epoch === undefined ? {} : { epoch }) };
    this.#countPush();
    this.#stream?.send({ case: "ack", value: { publication, stateHash } });
    this.#inSync();
  }

  #inSync(): void {
    if (this.isInSync) return;
    this.isInSync = true;
    this.#onChange();
  }

  #countPush(): void {
    const nowMs = performance.now();
    this.pushCount++;
    this.#pushedAtMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % pushTimeCount;
    let count = 0;
    for (const atMs of this.#pushedAtMs) if (atMs > nowMs - 1_000) count++;
    this.mostPushesPerSecond = Math.max(this.mostPushesPerSecond, count);
  }
}

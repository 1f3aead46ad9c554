import { status } from "@grpc/grpc-js";
import { NodeViews } from "../observation/node-views.ts";
import type { EncodedSnapshot } from "../snapshot/encode-snapshot.ts";
import { SnapshotCache } from "../snapshot/snapshot-cache.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { AckState } from "./ack-state.ts";
import { AppliedWaits } from "./applied-waits.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Applied, Fleet, NodeAnswer, NodeQuestion, NodeStatus } from "./fleet.ts";
import { NodeRegistry } from "./node-registry.ts";
import { NodeSession, type SessionContext } from "./node-session.ts";
import { PushSchedule } from "./push-schedule.ts";
import { SenderSlots } from "./sender-slots.ts";
import type { NodeCall } from "./snapshot-sender.ts";
import { refuseStream, type StreamGate } from "./stream-gate.ts";
import { type ListenAddress, openSyncListener, type SyncListenerOptions } from "./sync-listener.ts";

export interface SyncHubOptions extends Partial<SyncHubSettings> {
  readonly store: Pick<Store, "epoch" | "image" | "onCommit">;
  /** The first must be bindable; further ones are its twins (IPv6) and take its port where theirs is 0. */
  readonly listen: readonly ListenAddress[];
  readonly log: Log;
  /** How the nodes are known, and who may have a stream. Default: the port is plain, and everybody may. */
  readonly secured?: HubSecurity;
  readonly clock?: Clock;
  /** 0 <= random() < 1; for jitter. */
  readonly random?: () => number;
}

export interface HubSecurity extends Required<Pick<SyncListenerOptions, "tls" | "services">> {
  readonly gate: StreamGate;
}

/** Every limit and time of the hub, each with its default below. */
export interface SyncHubSettings {
  /** Changes that follow a push wait until none came for this long ... */
  readonly coalesceMs: number;
  /** ... but no longer than this. */
  readonly coalesceMaxMs: number;
  /** A node that acks within this keeps up. */
  readonly keepUpMs: number;
  readonly helloTimeoutMs: number;
  /** Jittered by a fifth both ways. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for this long lets others send. */
  readonly stallMs: number;
  /** Snapshots being sent at a time. */
  readonly senderMaxCount: number;
  /** Nodes remembered, connected or not. */
  readonly nodeMaxCount: number;
  /** Connections at a time and address. */
  readonly connectionMaxCount: number;
  /** Of one message from a node. */
  readonly messageMaxBytes: number;
  /** Past publications whose hash and revision stay known. */
  readonly recentMaxCount: number;
  /** How long what a node sees counts after its stream has closed. */
  readonly viewGraceMs: number;
  /** Endpoints seen, of all nodes together; some 400 bytes each. */
  readonly viewMaxCount: number;
  /** Writes that wait for nodes at a time. */
  readonly waitMaxCount: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Time for streams to end by themselves when closing. */
  readonly closeGraceMs: number;
}

const DEFAULTS: SyncHubSettings = {
  coalesceMs: 50,
  coalesceMaxMs: 250,
  keepUpMs: 1_000,
  helloTimeoutMs: 10_000,
  heartbeatMs: 10_000,
  stallMs: 1_000,
  senderMaxCount: 64,
  nodeMaxCount: 10_000,
  connectionMaxCount: 8_000,
  messageMaxBytes: 1024 * 1024,
  recentMaxCount: 1_000,
  viewGraceMs: 30_000,
  viewMaxCount: 200_000,
  waitMaxCount: 10_000,
  keepaliveMs: 10_000,
  keepaliveTimeoutMs: 5_000,
  closeGraceMs: 500,
};

export interface SyncHub {
  readonly fleet: Fleet;
  /** What the nodes see of their endpoints. */
  readonly views: NodeViews;
  /** As bound. */
  readonly addresses: readonly ListenAddress[];
  /** Ends every stream and answers every wait. */
  close(): Promise<void>;
}

/**
 * Serves the nodes of one store: whoever connects is told what it lacks, and every commit goes out to all.
 * Errors: rejects with the error of `listen` (EADDRINUSE, EACCES, ...).
 */
export async function startSyncHub(options: SyncHubOptions): Promise<SyncHub> {
  const settings = { ...DEFAULTS, ...options };
  const hub = new Hub(options, settings);
  const listener = await openSyncListener({
    ...settings,
    ...options.secured,
    onConnect: (call) => hub.connect(call),
  });
  hub.start();
  let closed: Promise<void> | undefined;
  return {
    fleet: hub,
    views: hub.views,
    addresses: listener.addresses,
    close: () => {
      closed ??= hub.close().then(() => listener.close());
      return closed;
    },
  };
}

class Hub implements Fleet {
  readonly #options: SyncHubOptions;
  readonly #cache: SnapshotCache;
  readonly #registry: NodeRegistry;
  readonly views: NodeViews;
  readonly #waits: AppliedWaits;
  readonly #schedule: PushSchedule;
  readonly #sessionContext: SessionContext;
  /** Every open stream, those without a hello included. */
  readonly #sessions = new Set<NodeSession>();
  /** The streams with a hello, one per node. */
  readonly #sessionOfNode = new Map<string, NodeSession>();
  /** What the nodes are meant to serve; the store's image may be ahead of it for as long as changes coalesce. */
  #published: EncodedSnapshot | null = null;
  #stopListening: () => void = () => {};
  #isClosed = false;

  constructor(options: SyncHubOptions, settings: SyncHubSettings) {
    const { store, log, clock = systemClock, random = Math.random } = options;
    this.#options = options;
    this.#cache = new SnapshotCache(store, settings.recentMaxCount);
    this.#registry = new NodeRegistry(settings.nodeMaxCount);
    this.views = new NodeViews({
      clock,
      graceMs: settings.viewGraceMs,
      viewMaxCount: settings.viewMaxCount,
      onFull: () => log.warn({ viewMaxCount: settings.viewMaxCount }, "the nodes see more endpoints than are kept"),
    });
    this.#waits = new AppliedWaits(() => this.#streamStates(), clock, settings.waitMaxCount);
    this.#schedule = new PushSchedule({
      clock,
      coalesceMs: settings.coalesceMs,
      coalesceMaxMs: settings.coalesceMaxMs,
      isQuiet: () => !this.#isAnyAnswerAwaited(),
      push: () => this.#publish(),
    });
    this.#sessionContext = {
      epoch: store.epoch,
      cache: this.#cache,
      registry: this.#registry,
      slots: new SenderSlots(settings.senderMaxCount),
      views: this.views,
      clock,
      random,
      log,
      timing: settings,
      gate: options.secured?.gate ?? null,
      newest: () => this.#published,
      onHello: (session, nodeId) => this.#admit(session, nodeId),
      onChange: () => this.#waits.check(),
      onClose: (session) => this.#forget(session),
    };
  }

  start(): void {
    this.#refresh();
    this.#stopListening = this.#options.store.onCommit(() => this.#schedule.changed());
  }

  connect(call: NodeCall): void {
    const refusal = this.#options.secured?.gate.connect(call) ?? null;
    if (refusal !== null) {
      refuseStream(call, refusal);
      return;
    }
    const session = new NodeSession(call, this.#sessionContext);
    if (this.#isClosed) session.end(status.UNAVAILABLE, "the control plane is closing");
    else this.#sessions.add(session);
  }

  waitForRevision(revision: number, options: { who: "keeping-up" | "all"; timeoutMs: number }): Promise<Applied> {
    return this.#waits.wait(revision, options.who, options.timeoutMs);
  }

  nodes(): readonly NodeStatus[] {
    return this.#registry.statuses(this.#options.store.image.publication);
  }

  ask(question: NodeQuestion): Promise<readonly NodeAnswer[]> {
    return Promise.all([...this.#sessionOfNode.values()].map((session) => session.ask(question)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening();
    this.#schedule.close();
    this.#waits.close();
    for (const session of [...this.#sessions]) session.end(status.UNAVAILABLE, "the control plane is closing");
    this.views.close();
  }

  #admit(session: NodeSession, nodeId: string): void {
    const older = this.#sessionOfNode.get(nodeId);
    if (older !== undefined) {
      this.#options.log.warn({ node: nodeId }, "a node connected twice: the newer stream replaces the older");
      older.end(status.ABORTED, "replaced by a newer stream of the same node");
    }
    // For nobody nothing was encoded; for somebody the schedule comes soon while changes coalesce.
    if (this.#sessionOfNode.size === 0 || !this.#schedule.isWaiting) this.#refresh();
    this.#sessionOfNode.set(nodeId, session);
  }

  #forget(session: NodeSession): void {
    this.#sessions.delete(session);
    if (this.#sessionOfNode.get(session.nodeId) === session) this.#sessionOfNode.delete(session.nodeId);
    this.#waits.check();
  }

  #publish(): void {
    // Encoding for nobody would only slow writes; a node that comes gets what is newest then.
    if (this.#sessionOfNode.size === 0) return;
    this.#refresh();
    for (const session of this.#sessionOfNode.values()) session.advance();
    this.#waits.check();
  }

  /** Makes the store's state of this moment the published one. */
  #refresh(): void {
    const { log, store } = this.#options;
    if (this.#published?.publication === store.image.publication) return;
    try {
      const cached = this.#cache.newest();
      if (cached.ok) this.#published = cached.snapshot;
      else log.error({ danglingReferences: cached.danglingReferences }, "a publication is held back: not consistent");
    } catch (error) {
      log.error({ err: error, publication: store.image.publication }, "a publication could not be encoded");
    }
  }

  #streamStates(): AckState[] {
    const states: AckState[] = [];
    for (const { state } of this.#sessionOfNode.values()) if (state !== null) states.push(state);
    return states;
  }

  #isAnyAnswerAwaited(): boolean {
    for (const session of this.#sessionOfNode.values()) if (session.isAnswerAwaited) return true;
    return false;
  }
}

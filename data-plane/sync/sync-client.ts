import type { Heartbeat } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { ReceivedSnapshot, Refusal } from "../snapshot/apply-snapshot.ts";
import { type Clock, systemClock } from "./clock.ts";
import { ControlPlaneSearch } from "./control-plane-search.ts";
import { heartbeatProblem } from "./judge-heartbeat.ts";
import { ObservationReports } from "./observation-reports.ts";
import { QueryAnswers } from "./query-answers.ts";
import { SnapshotInbox } from "./snapshot-inbox.ts";
import { StatsReports } from "./stats-reports.ts";
import { SYNC_CLIENT_DEFAULTS, type SyncClientOptions, type SyncClientSettings } from "./sync-client-options.ts";
import { isLevel, SyncContact } from "./sync-contact.ts";
import { type ControlMessage, type NodeMessage, type NodeStream, type StreamEnd, SyncStream } from "./sync-stream.ts";
import { TrafficReports } from "./traffic-reports.ts";

/** Room for all that is in a message besides bodies. */
const MESSAGE_FRAME_BYTES = 1024 * 1024;

export interface SyncState {
  readonly connection: "connecting" | "connected" | "waiting" | "closed";
  /** The control plane of the open stream, or of the last attempt. */
  readonly controlPlane: string | null;
  /** When `connection` became what it is. */
  readonly sinceUnixMs: number;
  /** The newest publication that the control plane spoke of; 0 when none. */
  readonly newestPublication: number;
  /** Why there is no stream, or why nothing newer comes on it; null when all is well. */
  readonly problem: string | null;
  /** The last publication that this node refused. */
  readonly lastRefusal: (Refusal & { readonly publication: number }) | null;
}

export interface SyncClient {
  readonly state: SyncState;
  readonly contact: Pick<SyncContact, "silenceMs" | "outOfSyncMs">;
  /** Tells the control plane at once what is served, where that is other than what it has heard last. */
  tellServed(): void;
  /** Ends the stream; what is being applied is applied, but not acked. */
  close(): void;
}

/** Connects to a control plane, and again whenever the stream ends, until closed. Never throws, never rejects. */
export function startSyncClient(options: SyncClientOptions): SyncClient {
  return new ReconnectingClient(options);
}

class ReconnectingClient implements SyncClient {
  readonly #options: SyncClientOptions;
  readonly #settings: SyncClientSettings;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #inbox: SnapshotInbox;
  readonly #search: ControlPlaneSearch;
  readonly contact: SyncContact;
  readonly #reports: readonly (ObservationReports | TrafficReports | StatsReports)[];
  readonly #answers: QueryAnswers;
  #state: SyncState;
  #stream: NodeStream | null = null;
  /** Opened beside the stream to take its place. */
  #successor: { readonly stream: NodeStream; hasGreeted: boolean } | null = null;
  #openedAtMs: number | null = null;
  /** Why there was no stream when it was tried last, by address, since one was open last. */
  readonly #toldProblems = new Map<string, string>();
  /** Heartbeats in a row that named less than what is held. */
  #lesserHeartbeats = 0;
  #stopTimer: () => void = () => {};

  constructor(options: SyncClientOptions) {
    // What was restored is the inbox's to keep, and to let go.
    this.#options = { ...options, restored: null };
    this.#settings = { ...SYNC_CLIENT_DEFAULTS, ...options };
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.contact = new SyncContact(() => this.#clock.monotonicMs());
    this.#reports = [
      ...(options.observations === undefined ? [] : [new ObservationReports(options.observations, this.#clock)]),
      ...(options.traffic === undefined ? [] : [new TrafficReports(options.traffic, this.#clock)]),
      ...(options.stats === undefined ? [] : [new StatsReports(options.stats, this.#clock, this.#settings.statsMs)]),
    ];
    this.#answers = new QueryAnswers(options.answerQuery ?? (() => null));
    this.#state = {
      connection: "connecting",
      controlPlane: null,
      sinceUnixMs: this.#clock.unixMs(),
      newestPublication: 0,
      problem: null,
      lastRefusal: null,
    };
    this.#search = new ControlPlaneSearch({
      ...{ ...this.#settings, controlPlanes: options.controlPlanes, clock: this.#clock, random: this.#random },
      ...(options.reach === undefined ? {} : { reach: options.reach }),
      onFound: (address) => this.#connect(address),
      onAbsent: (address, reason) => this.#isWithoutStream(address, reason),
    });
    this.#inbox = new SnapshotInbox({
      restored: options.restored ?? null,
      holding: options.holding,
      apply: options.apply,
      limits: this.#settings,
      clock: this.#clock,
      onAck: ({ publication, stateHash, applyDurationMs }) =>
        this.#send({
          case: "ack",
          value: { publication: BigInt(publication), stateHash, applyDuration: duration(applyDurationMs) },
        }),
      onNack: (publication, refusal) => this.#nack(publication, refusal),
      onApplied: (snapshot) => this.#guarded(() => this.#applied(snapshot)),
      onError: (error) => this.#failed(error),
    });
    options.access?.onRenewed?.(() => this.#renewStream());
    this.#search.start();
  }

  get state(): SyncState {
    return this.#state;
  }

  tellServed(): void {
    this.#send({ case: "heartbeat", value: this.#holdingMessage() ?? {} });
  }

  close(): void {
    if (this.#state.connection === "closed") return;
    this.#stopTimer();
    this.#search.stop();
    for (const reports of this.#reports) reports.stop();
    this.#answers.streamEnded();
    this.#inbox.close();
    this.#setState({ connection: "closed", problem: null });
    this.#dropSuccessor();
    this.#stream?.close();
    this.#stream = null;
  }

  #connect(address: string): void {
    this.#openedAtMs = null;
    this.#lesserHeartbeats = 0;
    this.#setState({ connection: "connecting", controlPlane: address });
    if (this.#state.connection === "closed") return;
    try {
      this.#stream = this.#openStream(address);
      this.#hello(this.#stream);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#stream === null) this.#ended(address, { reason, retryAfterMs: 0 });
      else this.#stream.close();
    }
  }

  #openStream(address: string): NodeStream {
    const { access, openStream = (options) => new SyncStream(options) } = this.#options;
    const stream = openStream({
      address,
      ...(access === undefined ? {} : { access }),
      clock: this.#clock,
      timing: this.#settings,
      messageMaxBytes: this.#settings.bodyBytesMax + MESSAGE_FRAME_BYTES,
      // A delta may take all away and bring as many.
      entityMaxCount: 2 * this.#settings.entityMaxCount,
      onOpen: () => this.#opened(stream, address),
      onMessage: (message) => this.#guarded(() => this.#receive(stream, message)),
      onClose: (end) => this.#closed(stream, address, end),
    });
    return stream;
  }

  /**
   * Opens another stream to the same control plane, by what this node shows now. It takes the place of the open one when
   * the control plane takes it for the node's, which speaks on it or ends the older one then; one that fails changes nothing.
   */
  #renewStream(): void {
    const { connection, controlPlane } = this.#state;
    if (connection !== "connected" || controlPlane === null) return;
    this.#dropSuccessor();
    try {
      this.#successor = { stream: this.#openStream(controlPlane), hasGreeted: false };
    } catch (error) {
      this.#options.log.warn({ err: error, controlPlane }, "no other stream could be opened");
    }
  }

  #succeed({ stream }: { readonly stream: NodeStream }): void {
    const before = this.#stream;
    this.#successor = null;
    this.#stream = stream;
    this.#lesserHeartbeats = 0;
    this.#answers.streamEnded();
    this.#inbox.streamEnded();
    for (const reports of this.#reports) {
      reports.stop();
      reports.start(stream);
    }
    before?.close();
    this.#options.log.info(
      { controlPlane: this.#state.controlPlane },
      "another stream has taken the place of the open one",
    );
  }

  #dropSuccessor(): void {
    const dropped = this.#successor;
    this.#successor = null;
    dropped?.stream.close();
  }

  #closed(stream: NodeStream, address: string, end: StreamEnd): void {
    const successor = this.#successor;
    if (successor?.stream === stream) {
      this.#successor = null;
      this.#options.log.warn({ controlPlane: address, reason: end.reason }, "another stream was not taken");
    } else if (stream === this.#stream) {
      if (successor?.hasGreeted === true) this.#succeed(successor);
      else this.#ended(address, end);
    }
    // Any other has given its place up.
  }

  #opened(stream: NodeStream, address: string): void {
    if (this.#successor?.stream === stream) {
      this.#successor.hasGreeted = true;
      this.#hello(stream);
      return;
    }
    this.#openedAtMs = this.#clock.monotonicMs();
    this.#toldProblems.clear();
    this.contact.streamOpened();
    this.#options.log.info({ controlPlane: address }, "connected to the control plane");
    this.#setState({ connection: "connected", problem: null });
    if (this.#state.connection === "closed") return;
    this.#scheduleHeartbeat();
    for (const reports of this.#reports) if (this.#stream !== null) reports.start(this.#stream);
  }

  #ended(address: string, { reason, retryAfterMs, isUnanswered = false }: StreamEnd): void {
    this.#stopTimer();
    this.#dropSuccessor();
    for (const reports of this.#reports) reports.stop();
    this.#answers.streamEnded();
    this.#stream = null;
    this.#inbox.streamEnded();
    if (this.#state.connection === "closed") return;
    this.#isWithoutStream(address, reason);
    const openMs = this.#openedAtMs === null ? null : this.#clock.monotonicMs() - this.#openedAtMs;
    this.#openedAtMs = null;
    this.#search.ended({ address, openMs, retryAfterMs, isUnanswered });
  }

  #isWithoutStream(address: string, reason: string): void {
    const isNews = this.#openedAtMs !== null || this.#toldProblems.get(address) !== reason;
    this.#toldProblems.set(address, reason);
    this.#options.log[isNews ? "warn" : "debug"]({ controlPlane: address, reason }, "no stream to the control plane");
    this.#setState({ connection: "waiting", controlPlane: address, problem: reason });
  }

  #receive(stream: NodeStream, message: ControlMessage): void {
    if (this.#successor?.stream === stream) this.#succeed(this.#successor);
    if (stream !== this.#stream) return;
    this.contact.heard();
    if (message.case === "snapshotBegin") this.#offered(Number(message.value.publication));
    if (message.case === "upToDate") this.#offered(Number(message.value.publication));
    if (message.case === "heartbeat") this.#compare(message.value);
    if (message.case === "query") void this.#answers.answer(message.value, stream);
    if (message.case === "cancelQuery") this.#answers.cancel(message.value.id);
    // Whatever else there is belongs to a later version of the protocol, and is none of this node's business.
    this.#inbox.receive(message);
  }

  #offered(publication: number): void {
    this.#lesserHeartbeats = 0;
    this.#setState({ newestPublication: publication, problem: null });
  }

  /** A control plane that keeps naming what does not follow on what is held will never send anything: that must be seen. */
  #compare(heartbeat: Heartbeat): void {
    const newestPublication = Number(heartbeat.publication);
    const problem = heartbeatProblem(this.#options.holding(), heartbeat);
    this.#lesserHeartbeats = problem === null ? 0 : this.#lesserHeartbeats + 1;
    // Once is no sign: the first heartbeat of a stream comes just before the snapshot of a later epoch.
    if (problem === null || this.#lesserHeartbeats < 2) {
      this.#setState({ newestPublication });
      return;
    }
    if (this.#state.problem !== problem) this.#options.log.warn({ publication: newestPublication }, problem);
    this.#setState({ newestPublication, problem });
  }

  #applied(snapshot: ReceivedSnapshot): void {
    const { publication, revision } = snapshot;
    this.#options.log.info({ publication, revision, entityCount: snapshot.entities.length }, "snapshot applied");
    this.#setState({ problem: null });
    this.#tell(() => this.#options.onApplied?.(snapshot));
  }

  #nack(publication: number, refusal: Refusal): void {
    const { reason, entityKind, entityId, entityName, field, message } = refusal;
    const keptPublication = BigInt(this.#options.holding()?.publication ?? 0);
    this.#send({
      case: "nack",
      value: {
        publication: BigInt(publication),
        keptPublication,
        reason,
        entityKind,
        entityId,
        entityName,
        field,
        message,
      },
    });
    this.#options.log.warn({ publication, refusal }, "snapshot refused");
    this.#setState({ lastRefusal: { ...refusal, publication } });
  }

  #hello(stream: NodeStream): void {
    const { hello } = this.#options;
    const have = this.#holdingMessage();
    const { capabilities, labels } = hello;
    stream.send({ case: "hello", value: { ...hello, capabilities: [...capabilities], labels: { ...labels }, have } });
  }

  #scheduleHeartbeat(): void {
    const delayMs = this.#settings.heartbeatMs * (0.8 + 0.4 * this.#random());
    this.#stopTimer = this.#clock.after(delayMs, () => {
      if (this.#stream?.isBacklogged === false) this.tellServed();
      this.#scheduleHeartbeat();
    });
  }

  #holdingMessage() {
    const held = this.#options.holding();
    if (held === null) return undefined;
    const epoch = { counter: BigInt(held.epoch.counter), id: held.epoch.id };
    return { epoch, publication: BigInt(held.publication), stateHash: held.stateHash };
  }

  #send(message: NodeMessage): void {
    this.#stream?.send(message);
  }

  /** What goes wrong with a message, here or in a callback, costs the stream and nothing else. */
  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#options.log.error({ err: error }, "a message of the control plane could not be handled");
    this.#stream?.close();
  }

  #setState(change: Partial<SyncState>): void {
    const isTurn = change.connection !== undefined && change.connection !== this.#state.connection;
    this.#state = { ...this.#state, ...change, ...(isTurn ? { sinceUnixMs: this.#clock.unixMs() } : {}) };
    this.#tell(() => this.contact.judged(isLevel(this.#state, this.#options.holding())));
    this.#tell(() => this.#options.onState?.(this.#state));
  }

  /** A listener that fails fails alone. */
  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#options.log.error({ err: error }, "a listener of the sync client failed");
    }
  }
}

function duration(ms: number): { seconds: bigint; nanos: number } {
  const wholeMs = Math.max(0, Math.round(ms * 1_000) / 1_000);
  const seconds = Math.floor(wholeMs / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((wholeMs - seconds * 1_000) * 1e6) };
}

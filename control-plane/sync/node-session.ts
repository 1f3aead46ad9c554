import { Metadata, status } from "@grpc/grpc-js";
import type { Ack, ConnectRequest, Heartbeat, Hello, Nack } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { toldCount, toldDurationMs } from "../observation/told-values.ts";
import type { Channel } from "../snapshot/channel.ts";
import { type EncodedPush, encodeMessage, SIGN_OF_LIFE } from "../snapshot/encode-snapshot.ts";
import type { PublishedState } from "../snapshot/publication-ring.ts";
import type { Queued } from "../steps/few-per-turn.ts";
import {
  type AckState,
  greet,
  markAhead,
  markMissed,
  markPushed,
  markRefused,
  markServing,
  nextStep,
  servesRevision,
  takeAck,
  takeHeartbeat,
  takeNack,
  withoutPush,
} from "./ack-state.ts";
import type { Clock } from "./clock.ts";
import { deltaOrWhole } from "./delta-or-whole.ts";
import type { NodeAnswer, NodeQuestion } from "./fleet.ts";
import { guardedClock } from "./guarded-clock.ts";
import { heartbeatOf } from "./heartbeat-of.ts";
import { type NackReason, nackStatus, stopStatus } from "./nack-status.ts";
import { readNodeStats } from "./node-figures.ts";
import { type Answered, NodeQuestions, sendingQuery } from "./node-questions.ts";
import type { NodeRecord } from "./node-registry.ts";
import { type NodeFacts, type NodeSelf, readHello, toldEpoch, toldHash } from "./read-hello.ts";
import type { SessionContext } from "./session-context.ts";
import { type NodeCall, SnapshotSender } from "./snapshot-sender.ts";

/**
 * Trailer in which a node is told after how many milliseconds to come again; as in gRPC's retry design (gRFC A6), here
 * for a stream that the client opens again by itself.
 */
const RETRY_AFTER_TRAILER = "grpc-retry-pushback-ms";

/** One stream of one node: reads what it says, tells it what it lacks. */
export class NodeSession implements Queued {
  isQueued = false;
  readonly #call: NodeCall;
  readonly #context: SessionContext;
  /** Of all that is of this stream alone. */
  readonly #clock: Clock;
  readonly #sender: SnapshotSender;
  readonly #questions: NodeQuestions;
  #record: NodeRecord | null = null;
  #state: AckState | null = null;
  #hasAnswered = false;
  #isSending = false;
  #isClosed = false;
  #stopHelloTimer: () => void;
  #stopHeartbeat: () => void = () => {};
  #stopMissedTimer: () => void = () => {};

  constructor(call: NodeCall, context: SessionContext) {
    const { slots, timing } = context;
    const clock = guardedClock(context.clock, (error) => this.#fail(error));
    this.#call = call;
    this.#context = context;
    this.#clock = clock;
    this.#sender = new SnapshotSender({ call, slots, clock, stallMs: timing.stallMs });
    this.#questions = new NodeQuestions(clock);
    this.#stopHelloTimer = clock.after(timing.helloTimeoutMs, () =>
      this.end(status.INVALID_ARGUMENT, "no hello within the time allowed"),
    );
    call.on("data", (request: ConnectRequest) => this.#guarded(() => this.#receive(request)));
    call.on("end", () => this.end(status.OK, ""));
    call.on("cancelled", () => this.#close());
    call.on("close", () => this.#close());
    call.on("error", () => this.#close());
    // Headers at once: the node then knows that it was answered, before there is anything to send.
    call.sendMetadata(new Metadata());
  }

  /** The node's id; empty before its hello. */
  get nodeId(): string {
    return this.#record?.facts.id ?? "";
  }

  /** Only for a node that was welcomed. */
  get channel(): Channel {
    return this.#context.channelOf(this.nodeId)!;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** null before the hello. */
  get state(): AckState | null {
    return this.#state;
  }

  /** Whether the last push is under way or unanswered, of a node that is worth waiting for. */
  get isAnswerAwaited(): boolean {
    return this.#state !== null && this.#state.pushed !== null && !this.#state.hasMissed;
  }

  /** Sends what the node lacks, unless it has a push to answer first. */
  advance(): void {
    // Called for many streams in a row, and in turns of the event loop of their own.
    this.#guarded(() => this.#advance());
  }

  #advance(): void {
    if (this.#state === null || this.#isClosed || this.#isSending) return;
    const { newest } = this.channel;
    if (newest === null) return;
    const step = nextStep(this.#state, newest);
    if (step === "push") this.#push(newest).catch((error) => this.#fail(error));
    else if (step === "serves-newest") this.#setState(markServing(this.#state, newest));
    else if (step === "refused") this.#setState(markRefused(this.#state, newest));
    else if (step === "diverged") this.#stop("diverged");
    else if (step === "ahead" && !this.#state.isAhead) {
      this.#setState(markAhead(this.#state));
      this.#report("ahead");
    }
  }

  /** Asks the node something; a problem where it cannot tell, or does not serve the revision that is asked about. */
  async ask({ kind, body, revision, timeoutMs, signal }: NodeQuestion): Promise<NodeAnswer> {
    const { id: nodeId = "", hostname = "", capabilities = [] } = this.#record?.facts ?? {};
    const answer = (answered: Answered): NodeAnswer => ({ nodeId, hostname, answered });
    if (!capabilities.includes(`query.${kind}`))
      return answer({ ok: false, problem: `its version does not answer "${kind}"` });
    if (this.#state === null || !servesRevision(this.#state, revision))
      return answer({ ok: false, problem: "it does not serve the change yet" });
    return answer(await this.#questions.ask(timeoutMs, sendingQuery(this.#call, kind, body), signal));
  }

  /** Ends the stream with a status. */
  end(code: status, details: string, metadata = new Metadata()): void {
    if (this.#isClosed) return;
    this.#close();
    // The way in which grpc-js ends a stream with a status; OK ends it plainly.
    if (code === status.OK) this.#call.end();
    else this.#call.emit("error", { code, details, metadata });
  }

  #receive({ message }: ConnectRequest): void {
    if (this.#isClosed) return;
    if (this.#record === null || this.#state === null) {
      if (message.case === "hello") this.#greet(message.value);
      else this.end(status.INVALID_ARGUMENT, "the first message must be a hello");
      return;
    }
    this.#record.lastSeenAtUnixMs = this.#context.clock.unixMs();
    if (message.case === "hello") this.end(status.INVALID_ARGUMENT, "a second hello on one stream");
    else if (message.case === "ack") this.#takeAck(this.#state, message.value);
    else if (message.case === "nack") this.#takeNack(this.#state, message.value);
    else if (message.case === "heartbeat") this.#takeHeartbeat(this.#state, message.value);
    else if (message.case === "observations") this.#context.views.take(this.nodeId, message.value);
    else if (message.case === "traffic") this.#context.traffic.take(this.nodeId, message.value);
    else if (message.case === "stats")
      this.#record.figures = readNodeStats(message.value, this.#record.figures, this.#record.lastSeenAtUnixMs);
    else if (message.case === "queryResult") this.#questions.take(message.value);
    // Anything else is of a later version of the protocol, or of no concern here.
  }

  /** For all that is called from outside: nobody there catches anything, and the process would end. */
  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A fault of ours costs this stream, nothing else. */
  #fail(error: unknown): void {
    this.#context.log.error({ err: error, node: this.nodeId }, "a node's stream failed");
    this.end(status.INTERNAL, "the control plane failed on this stream");
  }

  #greet(hello: Hello): void {
    const read = readHello(hello);
    if (!read.ok) {
      this.end(status.INVALID_ARGUMENT, `hello: ${read.problem}`);
      return;
    }
    const admission = this.#context.admitHello();
    if (!admission.ok) {
      const metadata = new Metadata();
      metadata.set(RETRY_AFTER_TRAILER, String(admission.retryAfterMs));
      this.end(status.RESOURCE_EXHAUSTED, "too many nodes come at once", metadata);
      return;
    }
    this.#stopHelloTimer();
    let hadTurn = false;
    this.#context.onHello(this, read.facts.id, () => {
      hadTurn = true;
      this.#guarded(() => {
        if (this.#judge(read.facts)) this.#welcome(read);
      });
    });
    // What follows the hello is not read before.
    if (hadTurn || this.#isClosed) return;
    this.#call.pause();
    this.#scheduleHeartbeat();
  }

  /** Ends the stream where the node may not come. */
  #judge(facts: NodeFacts): boolean {
    const refusal = this.#context.judgeHello(this.#call, facts, ({ code, cause }) => this.end(code, cause));
    if (refusal !== null) this.end(refusal.code, refusal.cause);
    return refusal === null;
  }

  #welcome({ facts, have }: NodeSelf): void {
    const { clock, epoch, log, registry, views, traffic } = this.#context;
    this.#context.onArrival(this, facts, this.#call);
    this.#record = registry.connect(facts, this.#call.getPeer(), clock.unixMs());
    this.#record.epoch = have?.epoch ?? null;
    for (const each of [views, traffic]) each.connected(facts.id, facts.hostname);
    const { cache } = this.channel;
    this.#setState(greet(epoch, have, have === null ? undefined : cache.recent(have.publication)));
    log.info({ node: this.nodeId, address: this.#record.address, have: have?.publication ?? 0 }, "node connected");
    this.#answerHello(this.#state!);
    this.#call.resume();
  }

  #answerHello(state: AckState): void {
    const { newest } = this.channel;
    this.#scheduleHeartbeat();
    if (newest === null) return;
    if (nextStep(state, newest) === "serves-newest") {
      // By the number that the node knows the content by.
      const { publication, stateHash } = state.served!;
      this.#call.write(encodeMessage({ case: "upToDate", value: { publication: BigInt(publication), stateHash } }));
    } else {
      // Also what gets nothing pushed learns what this control plane has, and can say so on its own side.
      this.#sendHeartbeat(newest);
    }
    if (state.stop !== null) this.#stop(state.stop);
    else this.advance();
    this.#context.onChange();
  }

  async #push(newest: PublishedState): Promise<void> {
    const { timing } = this.#context;
    const dueAtMs = this.#clock.monotonicMs();
    this.#isSending = true;
    this.#setState(markPushed(this.#state!, newest, { dueAtMs, isDelta: false }));
    this.#stopMissedTimer();
    this.#stopMissedTimer = this.#clock.after(timing.keepUpMs, () => {
      this.#setState(markMissed(this.#state!));
      this.#context.onChange();
    });
    await this.#sender.send(
      () => this.#choosePush(dueAtMs),
      ({ publication }) => this.#state?.pushed?.publication === publication,
    );
    this.#isSending = false;
    this.advance();
  }

  /**
   * When the push has its turn; null where there is none any more. It may have been answered meanwhile, by a node that
   * knew the publication from an earlier stream; or the node goes to another channel, which has nothing to push, or what
   * it serves.
   */
  #choosePush(dueAtMs: number): EncodedPush | null {
    const state = this.#state!;
    if (state.pushed === null) return null;
    const { newest } = this.channel;
    const idle = withoutPush(state);
    if (newest === null || nextStep(idle, newest) !== "push") {
      this.#setState(idle);
      return null;
    }
    const { capabilities } = this.#record!.facts;
    const push = deltaOrWhole(this.channel.cache, { state, capabilities, hasAnswered: this.#hasAnswered });
    this.#setState(markPushed(state, push, { dueAtMs, isDelta: push.basePublication !== null }));
    return push;
  }

  #takeAck(state: AckState, ack: Ack): void {
    const { clock, timing } = this.#context;
    const { cache, newest } = this.channel;
    if (newest === null) return;
    const publication = toldCount(ack.publication);
    const applyDurationMs = toldDurationMs(ack.applyDuration);
    const outcome = takeAck(
      state,
      { publication, stateHash: ack.stateHash, applyDurationMs },
      { nowMs: clock.monotonicMs(), keepUpMs: timing.keepUpMs, newest, known: cache.recent(publication) },
    );
    this.#setState(outcome.state);
    if (outcome.type === "applied") Object.assign(this.#record!, { applyDurationMs, epoch: this.#context.epoch });
    if (outcome.type === "wrong_hash_once") {
      this.#context.log.warn({ node: this.nodeId, publication }, "node acked with a wrong state hash: sending again");
    }
    if (outcome.type === "wrong_hash_again") this.#report("hash_mismatch");
    this.#answered();
  }

  #takeNack(state: AckState, nack: Nack): void {
    const nackRecord = nackStatus(nack, this.#context.clock.unixMs());
    this.#context.registry.refused(this.#record!, nackRecord);
    this.#context.log.warn({ node: this.nodeId, nack: nackRecord }, "node refused a publication");
    this.#setState(takeNack(state, nackRecord, this.channel.cache.recent(nackRecord.keptPublication)));
    this.#context.onNack(this, nackRecord, this.channel);
    this.#answered();
  }

  #takeHeartbeat(state: AckState, heartbeat: Heartbeat): void {
    const publication = toldCount(heartbeat.publication);
    const epoch = heartbeat.epoch === undefined ? null : toldEpoch(heartbeat.epoch);
    const stateHash = toldHash(heartbeat.stateHash);
    const served = { publication, stateHash, epochCounter: epoch?.counter ?? null };
    if (epoch !== null) this.#record!.epoch = epoch;
    const next = takeHeartbeat(state, served, this.channel.cache.recent(publication), this.#context.epoch);
    if (next === state) return;
    this.#setState(next);
    this.advance();
    this.#context.onChange();
  }

  /** Goes on after an ack or a nack, with the newest that came meanwhile. */
  #answered(): void {
    this.#hasAnswered = true;
    if (this.#state?.pushed === null) this.#stopMissedTimer();
    this.advance();
    this.#context.onChange();
  }

  #stop(reason: "foreign_store" | "newer_epoch" | "diverged"): void {
    this.#setState({ ...this.#state!, stop: reason });
    this.#report(reason);
    this.#context.onChange();
  }

  /** Makes a reason why nothing is pushed visible where a nack would be. */
  #report(reason: NackReason): void {
    const report = stopStatus(reason, {
      newestPublication: this.channel.newest?.publication ?? 0,
      servedPublication: this.#state?.served?.publication ?? 0,
      nowUnixMs: this.#context.clock.unixMs(),
    });
    this.#record!.lastNack = report;
    this.#context.log.warn({ node: this.nodeId, reason }, `nothing is pushed to a node: ${report.message}`);
  }

  #setState(state: AckState): void {
    this.#state = state;
    if (!this.#isClosed && this.#record !== null)
      Object.assign(this.#record, { served: state.served, stop: state.stop });
  }

  #scheduleHeartbeat(): void {
    const { random, timing } = this.#context;
    this.#stopHeartbeat();
    // Between 0.8 and 1.2 of the interval, so that a fleet that connected at once does not beat at once.
    this.#stopHeartbeat = this.#clock.after(timing.heartbeatMs * (0.8 + 0.4 * random()), () => {
      // Its turn has not come, and nothing can be said yet.
      if (this.#state === null) this.#call.write(SIGN_OF_LIFE);
      else if (this.channel.newest !== null) this.#sendHeartbeat(this.channel.newest);
      this.#scheduleHeartbeat();
    });
  }

  #sendHeartbeat(newest: PublishedState): void {
    // A node that does not read needs no heap of them.
    if (this.#isClosed || this.#call.writableLength > 0) return;
    this.#call.write(heartbeatOf(this.#state?.served ?? null, newest, this.#context.epoch));
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { gate, log, registry, views, traffic, onClose } = this.#context;
    const { nodeId } = this;
    const record = this.#record;
    // Each by itself: where one fails, the others still let the stream go.
    const ends = [
      ...[this.#stopHelloTimer, this.#stopHeartbeat, this.#stopMissedTimer],
      () => this.#sender.close(),
      () => this.#questions.close(),
      () => gate?.closed(this.#call),
      () => record !== null && registry.disconnect(record),
      () => record !== null && views.disconnected(nodeId),
      () => record !== null && traffic.disconnected(nodeId),
      () => record !== null && log.info({ node: nodeId }, "node disconnected"),
      () => onClose(this),
    ];
    for (const end of ends) this.#guarded(end);
  }
}

import { status } from "@grpc/grpc-js";
import { NodeViews } from "../observation/node-views.ts";
import { TrafficViews } from "../observation/traffic-views.ts";
import { noLabels } from "../resource/node-selector.ts";
import type { Channel, PublishedSource } from "../snapshot/channel.ts";
import type { Channels } from "../snapshot/channels.ts";
import { QuarantineView } from "../snapshot/quarantine-view.ts";
import { SubsetChannels } from "../snapshot/subset-channels.ts";
import { FewPerTurn, type Queued } from "../steps/few-per-turn.ts";
import { StepQueue } from "../steps/step-queue.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { AckState } from "./ack-state.ts";
import { AppliedWaits } from "./applied-waits.ts";
import { type AskedStreams, askNode } from "./ask-node.ts";
import { type Clock, systemClock } from "./clock.ts";
import type {
  Applied,
  AppliedWait,
  Fleet,
  HeldBack,
  NodeAnswer,
  NodeNackStatus,
  NodeQuestion,
  NodeStatus,
} from "./fleet.ts";
import { guardedClock } from "./guarded-clock.ts";
import { HelloAdmission } from "./hello-admission.ts";
import { NodeRegistry } from "./node-registry.ts";
import { NodeSession } from "./node-session.ts";
import { PublicationTimes } from "./publication-times.ts";
import { publishAll } from "./publish-all.ts";
import { PushSchedule } from "./push-schedule.ts";
import type { QuarantineKeeper } from "./quarantine-keeper.ts";
import type { NodeFacts } from "./read-hello.ts";
import { SenderSlots } from "./sender-slots.ts";
import type { SessionContext } from "./session-context.ts";
import { SkewWatch } from "./skew-watch.ts";
import type { NodeCall } from "./snapshot-sender.ts";
import { StreamChallenges } from "./stream-challenges.ts";
import { type GateRefusal, refuseStream, type StreamGate } from "./stream-gate.ts";
import type { StreamHubSettings } from "./stream-hub-settings.ts";
import { TwinNodes } from "./twin-nodes.ts";

/** What the hub has to know of rollouts. */
export interface RolloutsOfHub {
  /**
   * The channels of the fleet. Called once.
   * @param make those of what a source shows
   * @param betweenSteps runs what must not fall between two of their steps
   */
  channels(make: (source: PublishedSource) => Channels, betweenSteps: (change: () => void) => void): Channels;
  /** Why nodes do not get a revision now; null where they do. */
  heldBack(revision: number): HeldBack | null;
  /** Whether something that is stored is not for all nodes: a rollout is under way, about to begin, or halted. */
  readonly isHolding: boolean;
  /** The number under which nodes get a change that is live while others are held back; null for every other one. */
  livePublication(revision: number): number | null;
  /** Whether nodes are to have something under this number, which is the store's newest. */
  isGiven(publication: number): boolean;
  /** When something was last decided of who gets what; 0 before that is known. */
  readonly decidedAtUnixMs: number;
}

export interface StreamHubOptions {
  readonly store: Pick<Store, "epoch" | "image" | "onCommit">;
  readonly log: Log;
  /** Who may have a stream. Default: everybody. */
  readonly gate?: StreamGate;
  /** Told of what nodes refuse. Default: nobody is. */
  readonly quarantine?: Pick<QuarantineKeeper, "refused">;
  /** Decides which nodes get what, and when. Default: all get all, at once. */
  readonly rollouts?: RolloutsOfHub;
  readonly clock?: Clock;
  /** 0 <= random() < 1; for jitter. */
  readonly random?: () => number;
}

/** A stream that begins costs 1 ms with its first message, one that is sent a small delta 0.1 ms: 8 ms a turn. */
const BEGINNINGS_PER_TURN = 8;
const PUSHES_PER_TURN = 64;

/** A stream that waits for its turn. */
interface WaitingHello {
  readonly session: NodeSession;
  readonly nodeId: string;
  readonly turn: () => void;
}

/**
 * The streams of all nodes, whatever carries them: who is connected, what each is sent and when, and who waits for
 * them. It opens nothing: `connect` is called for each stream that a node has opened.
 */
export class StreamHub implements Fleet {
  readonly #options: StreamHubOptions;
  readonly #channels: Channels;
  /** Whatever changes the channels. */
  readonly #steps: StepQueue;
  readonly #settings: StreamHubSettings;
  readonly #clock: Clock;
  readonly #skew: SkewWatch;
  readonly #twins = new TwinNodes();
  readonly #challenges: StreamChallenges;
  readonly #times = new PublicationTimes();
  readonly #registry: NodeRegistry;
  readonly views: NodeViews;
  readonly traffic: TrafficViews;
  readonly #waits: AppliedWaits;
  readonly #schedule: PushSchedule;
  readonly #sessionContext: SessionContext;
  /** Every open stream, those without a hello included. */
  readonly #sessions = new Set<NodeSession>();
  /** The streams with a hello, one per node. */
  readonly #sessionOfNode = new Map<string, NodeSession>();
  readonly #beginnings = new FewPerTurn<Queued & { readonly call: NodeCall }>(BEGINNINGS_PER_TURN, ({ call }) =>
    this.#begin(call),
  );
  readonly #pushes = new FewPerTurn<NodeSession>(PUSHES_PER_TURN, (session) => session.advance());
  readonly #hellos: WaitingHello[] = [];
  #stopListening: () => void = () => {};
  #isPublishDue = false;
  #isClosed = false;

  constructor(options: StreamHubOptions, settings: StreamHubSettings) {
    const { store, log, clock = systemClock, random = Math.random } = options;
    this.#options = options;
    this.#settings = settings;
    this.#clock = clock;
    this.#skew = new SkewWatch(store.image, log);
    const guarded = guardedClock(clock, (error) => log.error({ err: error }, "a timer of a node's failed"));
    this.#challenges = new StreamChallenges(guarded);
    const ringLimits = { publicationMaxCount: settings.recentMaxCount, changeMaxCount: settings.recentChangeMaxCount };
    const steps = new StepQueue({
      clock,
      sliceMs: settings.sliceMs,
      onError: (error) => log.error({ err: error }, "publications could not be made"),
    });
    this.#steps = steps;
    const betweenSteps = (change: () => void) => steps.between(change);
    const subsetsOf = (source: PublishedSource) =>
      new SubsetChannels({
        ...{ source: new QuarantineView(source, store.image), ringLimits, log, graceMs: settings.subsetGraceMs },
        clock: { after: (delayMs, run) => clock.after(delayMs, () => betweenSteps(run)) },
        labelsOf: (nodeId) => options.gate?.labelsOf(nodeId) ?? noLabels,
      });
    this.#channels = options.rollouts?.channels(subsetsOf, betweenSteps) ?? subsetsOf(store);
    this.#registry = new NodeRegistry(settings.nodeMaxCount);
    this.views = new NodeViews({
      clock: guarded,
      graceMs: settings.viewGraceMs,
      viewMaxCount: settings.viewMaxCount,
      onFull: () => log.warn({ viewMaxCount: settings.viewMaxCount }, "the nodes see more endpoints than are kept"),
    });
    this.traffic = new TrafficViews({
      clock,
      viewMaxCount: settings.trafficMaxCount,
      onFull: () =>
        log.warn(
          { trafficMaxCount: settings.trafficMaxCount },
          "the nodes tell of the traffic of more endpoints than are kept",
        ),
    });
    this.#waits = new AppliedWaits(() => this.#streamStates(), clock, settings.waitMaxCount);
    this.#schedule = new PushSchedule({
      clock,
      coalesceMs: settings.coalesceMs,
      coalesceMaxMs: settings.coalesceMaxMs,
      isQuiet: () => steps.isIdle && !this.#isAnyAnswerAwaited(),
      push: () => this.#publish(),
    });
    const admission = new HelloAdmission(clock, settings.helloMaxPerSecond);
    this.#sessionContext = {
      epoch: store.epoch,
      registry: this.#registry,
      slots: {
        whole: new SenderSlots(settings.senderMaxCount),
        delta: new SenderSlots(settings.senderMaxCount),
      },
      views: this.views,
      traffic: this.traffic,
      clock,
      random,
      log,
      timing: settings,
      gate: options.gate ?? null,
      channelOf: (nodeId) => this.#channels.channelOf(nodeId),
      admitHello: () => admission.admit(),
      judgeHello: (call, facts, end) =>
        this.#judgeTwin(call, facts) ?? options.gate?.hello(call, facts.id, end) ?? null,
      onHello: (session, nodeId, turn) => this.#receive({ session, nodeId, turn }),
      onArrival: (session, facts, call) => this.#admit(session, facts, call),
      onChange: () => this.#waits.check(),
      onNack: (session, nack, channel) => this.#refused(session, nack, channel),
      onClose: (session) => this.#forget(session),
    };
  }

  start(): void {
    this.#publish();
    const { store, rollouts } = this.#options;
    this.#times.note(store.image.publication, this.#clock.unixMs());
    this.#stopListening = store.onCommit((commit) => {
      const { publication } = store.image;
      // Of what is held back nobody is behind.
      if (rollouts?.isGiven(publication) ?? true) this.#times.note(publication, this.#clock.unixMs());
      this.#skew.committed(commit);
      this.#schedule.changed();
    });
  }

  connect(call: NodeCall): void {
    const refusal = this.#options.gate?.connect(call) ?? null;
    if (refusal !== null) {
      refuseStream(call, refusal);
      return;
    }
    // Nothing is read of it until its turn has come.
    this.#beginnings.add({ call, isQueued: false });
  }

  async waitForRevision(revision: number, wait: AppliedWait): Promise<Applied> {
    const { rollouts } = this.#options;
    const heldBack = rollouts?.heldBack(revision) ?? null;
    const publication = rollouts?.livePublication(revision) ?? null;
    const goal = publication === null ? { revision } : { publication };
    // Nobody who waits here would see the end of a rollout.
    const timeoutMs = heldBack === null ? wait.timeoutMs : 0;
    const applied = await this.#waits.wait(goal, { ...wait, timeoutMs });
    return heldBack === null ? applied : { ...applied, heldBack };
  }

  nodes(): readonly NodeStatus[] {
    const { staleAfterMs, forgetAfterMs } = this.#settings;
    return this.#registry.statuses({
      newestFor: (nodeId) => this.#channels.sourcePublicationFor(nodeId),
      nowUnixMs: this.#clock.unixMs(),
      ...{ staleAfterMs, forgetAfterMs },
      behindSinceUnixMs: (publication) => this.#behindSinceUnixMs(publication),
      unsupportedBy: (capabilities) => this.#skew.unsupportedBy(capabilities),
    });
  }

  get nackCount(): number {
    return this.#registry.nackCount;
  }

  whoLacks(capability: string): readonly NodeFacts[] {
    return this.#skew.whoLacks(capability);
  }

  forget(nodeId: string): "forgotten" | "unknown" | "connected" {
    return this.#registry.forget(nodeId);
  }

  ask(question: NodeQuestion): Promise<readonly NodeAnswer[]> {
    const { nodeId } = question;
    const streams: AskedStreams = {
      clock: this.#clock,
      sessionOf: (id) => this.#sessionOfNode.get(id),
      instanceOf: (id) => this.#twins.of(id)?.instance ?? "",
    };
    const asked = [...this.#sessionOfNode.keys()].filter((id) => nodeId === undefined || id === nodeId);
    return Promise.all(asked.map((id) => askNode(streams, id, question)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening();
    this.#schedule.close();
    this.#steps.close();
    this.#waits.close();
    for (const session of [...this.#sessions]) session.end(status.UNAVAILABLE, "the control plane is closing");
    this.#channels.close();
    this.views.close();
  }

  #begin(call: NodeCall): void {
    if (call.cancelled) return;
    try {
      const session = new NodeSession(call, this.#sessionContext);
      if (this.#isClosed) session.end(status.UNAVAILABLE, "the control plane is closing");
      else this.#sessions.add(session);
    } catch (error) {
      this.#options.log.error({ err: error }, "a node's stream could not be begun");
      refuseStream(call, { code: status.INTERNAL, cause: "the control plane failed on this stream" });
    }
  }

  #receive(hello: WaitingHello): void {
    // Together with those who wait already: what is written meanwhile is looked at once for all of them.
    if (this.#hellos.push(hello) % BEGINNINGS_PER_TURN !== 1) return;
    let taken: readonly WaitingHello[] = [];
    const steps = () => {
      taken = this.#hellos.splice(0, BEGINNINGS_PER_TURN).filter(({ session }) => !session.isClosed);
      return this.#channels.arriveSteps(taken);
    };
    this.#steps.add(steps, (publish) => {
      publish?.();
      for (const { session, nodeId, turn } of taken) {
        if (this.#channels.channelOf(nodeId) === null)
          session.end(status.UNAVAILABLE, "the control plane could not make the node's configuration");
        else if (!session.isClosed) turn();
      }
      for (const { nodeId } of taken) this.#leave(nodeId);
    });
  }

  #admit(session: NodeSession, facts: NodeFacts, call: NodeCall): void {
    const { id: nodeId } = facts;
    const older = this.#sessionOfNode.get(nodeId);
    const olderProcess = this.#twins.of(nodeId);
    if (older !== undefined) {
      this.#options.log.warn({ node: nodeId }, "a node connected twice: the newer stream replaces the older");
      older.end(status.ABORTED, "replaced by a newer stream of the same node");
    }
    this.#sessionOfNode.set(nodeId, session);
    this.#twins.connected(facts, olderProcess);
    this.#challenges.connected(nodeId, session, call);
    this.#skew.connected(facts);
  }

  #judgeTwin(call: NodeCall, facts: NodeFacts): GateRefusal | null {
    const refusal = this.#twins.judge(facts);
    if (refusal === null) return null;
    this.#challenges.challenge(facts.id);
    const { gate, log } = this.#options;
    // The gate lists it, and logs the same only now and then.
    if (gate === undefined) log.warn({ node: facts.id, address: call.getPeer() }, refusal.cause);
    else gate.refused(call, facts.id, refusal);
    return refusal;
  }

  #refused({ nodeId, state: own }: NodeSession, nack: NodeNackStatus, channel: Channel): void {
    // What is rolled out stage by stage is taken back as a whole (docs/rollouts.md).
    if (this.#options.rollouts?.isHolding === true) return;
    // The number of an earlier epoch says nothing here.
    const keptPublication = own?.served?.isOfEarlierEpoch === false ? nack.keptPublication : 0;
    const servedByOthers = () =>
      [...this.#sessionOfNode.values()].flatMap((other) => {
        const served = other.nodeId === nodeId || other.channel !== channel ? null : (other.state?.served ?? null);
        return served === null || served.isOfEarlierEpoch ? [] : [served.publication];
      });
    const facts = { nodeId, nack: { ...nack, keptPublication }, channel, servedByOthers };
    const refresh = () => publishAll(this.#steps, this.#channels, this.#options.store.image);
    void this.#options.quarantine?.refused({ ...facts, refresh });
  }

  #forget(session: NodeSession): void {
    this.#sessions.delete(session);
    if (this.#sessionOfNode.get(session.nodeId) === session) {
      this.#sessionOfNode.delete(session.nodeId);
      this.#twins.left(session.nodeId);
      this.#challenges.left(session.nodeId);
      this.#skew.disconnected(session.nodeId);
      this.#steps.between(() => this.#leave(session.nodeId));
    }
    this.#waits.check();
  }

  /** It may be there again, or still. */
  #leave(nodeId: string): void {
    if (!this.#sessionOfNode.has(nodeId)) this.#channels.left(nodeId);
  }

  #publish(): void {
    if (this.#isPublishDue) return;
    this.#isPublishDue = true;
    const steps = () => {
      this.#isPublishDue = false;
      // For nobody as well: all of it when the first node comes would take 60 us a resource.
      return this.#channels.refreshSteps();
    };
    this.#steps.add(steps, (publish) => {
      publish?.();
      for (const session of this.#sessionOfNode.values()) this.#pushes.add(session);
      this.#waits.check();
    });
  }

  /** Not before the last decision of a rollout: until then what is missing may have been meant for others only. */
  #behindSinceUnixMs(publication: number): number | null {
    const sinceUnixMs = this.#times.behindSinceUnixMs(publication);
    return sinceUnixMs === null ? null : Math.max(sinceUnixMs, this.#options.rollouts?.decidedAtUnixMs ?? 0);
  }

  #streamStates(): AckState[] {
    const states: AckState[] = [];
    for (const { state } of this.#sessionOfNode.values()) if (state !== null) states.push(state);
    return states;
  }

  #isAnyAnswerAwaited(): boolean {
    if (!this.#pushes.isIdle) return true;
    for (const session of this.#sessionOfNode.values()) if (session.isAnswerAwaited) return true;
    return false;
  }
}

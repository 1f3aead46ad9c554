import { toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Rollout,
  RolloutPhase,
  type RolloutPolicy,
  RolloutPolicySchema,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Checked, StoredKind } from "../resource/checked.ts";
import type { Channels } from "../snapshot/channels.ts";
import type { Commit, ResourceWrite, Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { HeldBack } from "../sync/fleet.ts";
import type { Log } from "../telemetry/log.ts";
import { FrozenContent } from "./frozen-content.ts";
import { ledgerCommit } from "./ledger-commits.ts";
import { enterCommit, type Ledger, type ServedPoint } from "./publication-ledger.ts";
import { type RebuiltRollout, rebuildRollout } from "./rebuild-rollout.ts";
import { type BetweenSteps, type MakeChannels, RolloutChannels } from "./rollout-channels.ts";
import { checkPolicy, completePolicy, rolloutPolicyId } from "./rollout-policy.ts";
import {
  beginRollout,
  finishRollout,
  haltRollout,
  isReached,
  isUnderWay,
  noRollout,
  pauseRollout,
  phaseText,
  resumeRollout,
  rolloutId,
} from "./rollout-steps.ts";
import type { ShownContent } from "./rollout-view.ts";

export interface RolloutsOptions {
  readonly store: Pick<Store, "epoch" | "image" | "transact" | "readChanges" | "onCommit">;
  readonly clock: Pick<Clock, "unixMs">;
  readonly log: Log;
}

/** What a person asked for, done; or why it cannot be. */
export type Commanded = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Who the change log names. */
const actor = "rollouts";
const triesMax = 5;
/** Changes of what is always live, whose number is remembered for those who wait for them. */
const liveMax = 1_000;
/** Far below what history is kept for. */
const renewMs = 7 * 86_400_000;

type Decide = (rollout: Rollout | null) => Rollout | null;

/**
 * What the fleet is to serve: decides nothing by itself, but makes decisions durable, and has the nodes' channels show
 * what was decided.
 * Errors: rejects when the history of the store cannot be read.
 */
export async function openRollouts(options: RolloutsOptions): Promise<Rollouts> {
  // Before the history is read, so that no commit is between the two.
  const missed: Commit[] = [];
  const stop = options.store.onCommit((commit) => missed.push(commit));
  try {
    const rebuilt = await rebuildRollout(options.store);
    if (missed.length > 0) throw new Error("the store was written before its rollouts were known");
    return new Rollouts(options, rebuilt);
  } finally {
    stop();
  }
}

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #listeners = new Set<() => void>();
  readonly #livePublications = new Map<number, number>();
  #ledger: Ledger;
  #baseline: FrozenContent | null;
  #candidate: FrozenContent | null;
  /** Content at the revision that a decision under way is about. */
  #prepared: FrozenContent | null = null;
  #channels: RolloutChannels | null = null;
  #reachedIds: ReadonlySet<string> = new Set();
  #isLost: boolean;
  #decidedAtUnixMs = 0;
  /** Decisions are made one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #stopListening: () => void;

  constructor(options: RolloutsOptions, rebuilt: RebuiltRollout) {
    this.#options = options;
    this.#ledger = rebuilt.ledger;
    this.#baseline = rebuilt.baseline;
    this.#candidate = rebuilt.candidate;
    this.#isLost = rebuilt.isLost;
    if (this.#isLost)
      options.log.error("what the nodes were given is no longer in the history: they get nothing until it is promoted");
    this.#stopListening = options.store.onCommit((commit) => this.#take(commit));
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Whether nodes are to have something under this number, which is the store's newest. */
  isGiven(publication: number): boolean {
    const { baseline, candidate } = this.#ledger;
    return baseline === null || baseline.publication === publication || candidate?.publication === publication;
  }

  /** When the last decision was made; 0 where that was before the start. */
  get decidedAtUnixMs(): number {
    return this.#decidedAtUnixMs;
  }

  /** What nodes were given is not known any more: they get nothing new until somebody promotes what is stored. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** The end of the last rollout is not yet behind every node. */
  get isSplit(): boolean {
    return this.#channels?.isSplit ?? false;
  }

  channels(make: MakeChannels, betweenSteps: BetweenSteps): Channels {
    const { store, log } = this.#options;
    const channels = new RolloutChannels({ store, make, betweenSteps, log });
    this.#channels = channels;
    this.#show();
    return channels;
  }

  /** Every node has come to the end of the last rollout, or is not waited for. */
  join(): void {
    // Who has come to the end is known by what is shown, and that is not yet what was decided.
    if (this.#ledger.candidate === null && this.#channels?.isChanging === false) this.#channels.join();
  }

  isReached(nodeId: string): boolean {
    const { rollout } = this.#ledger;
    return rollout !== null && isReached(rollout, this.#reachedIds, nodeId);
  }

  heldBack(revision: number): HeldBack | null {
    const { baseline, candidate, waiting } = this.#ledger;
    if (baseline === null || revision <= baseline.revision || this.#livePublications.has(revision)) return null;
    if (candidate !== null && revision <= candidate.revision) return "rolling-out";
    return waiting !== null && revision <= waiting.lastRevision ? "waiting" : null;
  }

  /** Not by the newest revision: that of a decision is held back from nobody. */
  get isHolding(): boolean {
    return this.#ledger.baseline !== null;
  }

  /** The number under which nodes get a change that is live while others wait; null for every other one. */
  livePublication(revision: number): number | null {
    return this.#livePublications.get(revision) ?? null;
  }

  /** Whether what waits comes to what nodes have. */
  get isTakenBack(): boolean {
    return this.#baseline?.isSameAs(this.#options.store.image) ?? false;
  }

  get policy(): RolloutPolicy {
    return completePolicy(this.#options.store.image.get("rollout_policy", rolloutPolicyId)?.message);
  }

  /** Errors: rejects when the store does not take it. */
  async setPolicy(policy: RolloutPolicy): Promise<Checked<RolloutPolicy>> {
    const checked = checkPolicy(policy);
    if (!checked.ok) return checked;
    const body = toBinary(RolloutPolicySchema, checked.value);
    for (let tries = 1; ; tries++) {
      const isThere = this.#options.store.image.get("rollout_policy", rolloutPolicyId) !== undefined;
      const writes = [writeOf("rollout_policy", rolloutPolicyId, body, isThere)];
      const outcome = await this.#options.store.transact([...writes, ...this.#firstRecord()], actor);
      if (outcome.ok) return checked;
      if (outcome.conflict.type === "unavailable" || tries === triesMax)
        throw new Error(`the policy could not be stored: ${outcome.conflict.type}`);
    }
  }

  /** To be called before a change that is to go stage by stage. Errors: rejects when the store does not take it. */
  async ensureRecord(): Promise<void> {
    await this.#decide((before) => (before === null ? this.#noRollout(before) : null));
  }

  /** Where nothing waits and nothing was decided for long: the history before now is not needed any more. */
  async renewRecord(): Promise<void> {
    await this.step((before, nowMs) => {
      const isOld = before.endedAt !== undefined && nowMs - timestampMs(before.endedAt) > renewMs;
      return isOld && before.phase === RolloutPhase.DONE && this.#ledger.baseline === null
        ? this.#noRollout(before)
        : null;
    });
  }

  /** Begins a rollout of all that waits. @param connected ids */
  begin(connected: readonly string[]): Promise<boolean> {
    return this.#decide((before) => {
      const { baseline, candidate, waiting } = this.#ledger;
      if (baseline === null || candidate !== null || waiting === null) return null;
      const candidateRevision = this.#prepare();
      const nowMs = this.#options.clock.unixMs();
      return beginRollout(before, { baseline, candidateRevision }, { policy: this.policy, connected, nowMs });
    });
  }

  /** Takes a step of the rollout that is under way. @param step null: there is none to take */
  step(step: (rollout: Rollout, nowMs: number) => Rollout | null): Promise<boolean> {
    return this.#decide((rollout) =>
      rollout === null || this.#isLost ? null : step(rollout, this.#options.clock.unixMs()),
    );
  }

  pause(): Promise<Commanded> {
    return this.#command("nothing is running", (rollout) => pauseRollout(rollout));
  }

  async resume(connected: readonly string[]): Promise<Commanded> {
    if (this.#ledger.rollout?.phase === RolloutPhase.HALTED && (await this.begin(connected))) return { ok: true };
    return this.#command("nothing is paused or halted", (rollout, nowMs) => resumeRollout(rollout, nowMs));
  }

  async promote(): Promise<Commanded> {
    const isDone = await this.#decide((rollout) => {
      const isNothing = rollout?.phase === RolloutPhase.DONE && this.#ledger.baseline === null;
      if (rollout === null || isNothing) return null;
      const revision = isUnderWay(rollout) && !this.#isLost ? Number(rollout.candidateRevision) : this.#prepare();
      return finishRollout(rollout, revision, "promoted by a person", this.#options.clock.unixMs());
    });
    return isDone ? { ok: true } : { ok: false, problem: "nothing is rolled out, and nothing waits" };
  }

  abort(reason: string): Promise<Commanded> {
    const halt = { by: "person", reason: reason || "called off by a person", nodeIds: [] } as const;
    return this.#command("nothing is running or paused", (rollout, nowMs) => haltRollout(rollout, halt, nowMs));
  }

  /** What waits was taken back by writing: there is nothing left to hold. */
  release(): Promise<boolean> {
    return this.step((rollout, nowMs) => {
      if (rollout.phase !== RolloutPhase.HALTED || !this.isTakenBack) return null;
      return finishRollout(rollout, this.#prepare(), "what waited was taken back", nowMs);
    });
  }

  /** Calls the listener after what may have changed how it stands; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stopListening();
  }

  async #command(problem: string, step: (rollout: Rollout, nowMs: number) => Rollout | null): Promise<Commanded> {
    return (await this.step(step)) ? { ok: true } : { ok: false, problem };
  }

  #noRollout(before: Rollout | null): Rollout {
    const { store, clock } = this.#options;
    return noRollout(before, store.image.revision, clock.unixMs());
  }

  #firstRecord(): readonly ResourceWrite[] {
    if (this.#options.store.image.get("rollout", rolloutId) !== undefined) return [];
    return [writeOf("rollout", rolloutId, toBinary(RolloutSchema, this.#noRollout(null)), false)];
  }

  /** Freezes what is stored now. Returns its revision. */
  #prepare(): number {
    const { image } = this.#options.store;
    this.#prepared = FrozenContent.of(image, image.revision);
    return image.revision;
  }

  /** Whether there was something to decide. Errors: rejects when the store does not take it. */
  #decide(decide: Decide): Promise<boolean> {
    const decided = this.#turn.then(() => this.#decideNow(decide));
    this.#turn = decided.catch(() => {});
    return decided;
  }

  async #decideNow(decide: Decide): Promise<boolean> {
    const { store, log } = this.#options;
    const stored = store.image.get("rollout", rolloutId);
    const rollout = decide(stored?.message ?? null);
    if (rollout === null) return false;
    const body = toBinary(RolloutSchema, rollout);
    const outcome = await store.transact([writeOf("rollout", rolloutId, body, stored !== undefined)], actor);
    if (!outcome.ok) throw new Error(`a decision on the rollout could not be stored: ${outcome.conflict.type}`);
    const { number, phase, stage, reachedNodeIds, haltedBy, reason } = rollout;
    const told = { rollout: Number(number), phase: phaseText(phase), stage, reached: reachedNodeIds.length };
    const isHalt = phase === RolloutPhase.HALTED;
    log[isHalt ? "warn" : "info"]({ ...told, ...(isHalt ? { haltedBy } : {}), reason }, "rollout");
    return true;
  }

  #take(commit: Commit): void {
    const entered = ledgerCommit(commit);
    const before = this.#ledger;
    if (entered.rollout !== null) this.#decidedAtUnixMs = this.#options.clock.unixMs();
    if (this.#isLost && entered.rollout?.phase !== RolloutPhase.DONE) {
      this.#ledger = { ...before, revision: commit.revision, publication: commit.publication };
      return;
    }
    this.#isLost = false;
    this.#ledger = enterCommit(before, entered);
    if (this.#ledger.baseline !== null && entered.hasLive && !entered.hasContent) this.#noteLive(commit);
    else if (this.#ledger.baseline === null) this.#livePublications.clear();
    this.#keepContents(before, commit);
    const isNewRollout = before.candidate === null && this.#ledger.candidate !== null;
    if (isNewRollout) this.#channels?.join();
    this.#show();
    if (before.baseline === null && this.#ledger.baseline === null && entered.rollout === null) return;
    for (const listener of this.#listeners) listener();
  }

  #keepContents(before: Ledger, commit: Commit): void {
    const { baseline, candidate } = this.#ledger;
    const kept = { baseline: this.#baseline, candidate: this.#candidate };
    if (baseline?.revision !== before.baseline?.revision) this.#baseline = this.#contentOf(baseline, kept);
    if (candidate?.revision !== before.candidate?.revision) this.#candidate = this.#contentOf(candidate, kept);
    for (const content of new Set([this.#baseline, this.#candidate, this.#prepared])) content?.pass(commit);
    // What was frozen for a decision is nobody's any more once that is made.
    if (this.#prepared !== null && commit.changes.some(({ kind }) => kind === "rollout")) this.#prepared = null;
  }

  #contentOf(point: ServedPoint | null, { baseline, candidate }: KeptContents): FrozenContent | null {
    if (point === null) return null;
    const known = [this.#prepared, candidate, baseline].find((content) => content?.revision === point.revision);
    return known ?? FrozenContent.of(this.#options.store.image, point.revision);
  }

  #noteLive({ revision, publication }: Commit): void {
    this.#livePublications.set(revision, publication);
    if (this.#livePublications.size > liveMax)
      this.#livePublications.delete(this.#livePublications.keys().next().value!);
  }

  /** Has the channels show what the ledger says. */
  #show(): void {
    const { baseline, candidate, rollout } = this.#ledger;
    this.#reachedIds = new Set(rollout?.reachedNodeIds ?? []);
    const channels = this.#channels;
    if (channels === null) return;
    channels.suspend(this.#isLost);
    const below = shown(this.#baseline, baseline);
    const above = shown(this.#candidate, candidate);
    if (above === null) channels.showToAll(below);
    else {
      const reachedIds = this.#reachedIds;
      channels.showCandidate(above, below, (nodeId) => rollout !== null && isReached(rollout, reachedIds, nodeId));
    }
  }
}

interface KeptContents {
  readonly baseline: FrozenContent | null;
  readonly candidate: FrozenContent | null;
}

function shown(content: FrozenContent | null, point: ServedPoint | null): ShownContent | null {
  return content === null || point === null ? null : { content, point };
}

function writeOf(kind: StoredKind, id: string, body: Uint8Array, isThere: boolean): ResourceWrite {
  const operation = isThere ? "update" : "create";
  return { kind, id, operation, body, expectedRevision: null, uniqueKeys: [], references: [] };
}

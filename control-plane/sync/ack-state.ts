import { isSameHash } from "../../proto/state-hash.ts";
import type { NewestState, PublishedState } from "../snapshot/publication-ring.ts";
import type { NodeHolding } from "./read-hello.ts";

/**
 * What a control plane knows of one node's stream: what the node serves, what was pushed and is not yet answered,
 * what it refused. Every function takes a state and returns the next; the session keeps the current one.
 *
 *   greet ─► [serves nothing / older] ──push──► [pushed] ──ack──► [serves newest]
 *                     ▲                            │ wrong hash, or a delta that did not fit: the whole, then refused
 *                     └──── next publication ◄── nack
 *   stopped (foreign store, newer epoch, diverged) is for the rest of the stream: pushing would not help.
 */
export interface AckState {
  /** null: the node serves nothing. */
  readonly served: ServedState | null;
  /** Sent, or about to be, and neither acked nor nacked; at most one. */
  readonly pushed: PushedState | null;
  /** The last publication that the node would not take; it is not pushed again on this stream. */
  readonly refused: PublishedState | null;
  /**
   * It was refused for being older than another that the node was applying, of a faster control plane. Where the node
   * then does not come to serve that one, it is no longer a reason.
   */
  readonly isRefusedAsStale: boolean;
  /** The publication that was acked with a wrong hash once and is therefore sent a second time. */
  readonly secondTry: number | null;
  /** What was sent last did not fit what the node holds, so what we think it holds is not to be built upon. */
  readonly mustBeWhole: boolean;
  readonly stop: StopReason | null;
  /** The node holds a later publication than our newest; not lasting. */
  readonly isAhead: boolean;
  /** A push was not acked in time since the node last kept up: it is not waited for. */
  readonly hasMissed: boolean;
}

export interface ServedState extends PublishedState {
  /** The last publication that is known to have the same content; the node need not be sent that. */
  readonly upToPublication: number;
  /** The numbers are those of an earlier store: not comparable with ours. */
  readonly isOfEarlierEpoch: boolean;
}

export interface PushedState extends PublishedState {
  /** When the node could have had it, by the monotonic clock: waiting for a free sender counts as the node's time. */
  readonly dueAtMs: number;
  readonly isDelta: boolean;
}

/** Why nothing more is pushed on a stream. */
export type StopReason =
  /** The same epoch counter of another store. */
  | "foreign_store"
  /** The node has seen a later incarnation of the store than ours. */
  | "newer_epoch"
  /** The node holds other content under our publication's number. */
  | "diverged";

/** What to do with a node now. "ahead" is not lasting: another control plane of the same store may be faster. */
export type Step = "push" | "wait" | "serves-newest" | "refused" | "ahead" | "diverged";

/** The state of a stream after its hello. `known` is what we know of the held publication, if anything. */
export function greet(
  epoch: NodeHolding["epoch"],
  have: NodeHolding | null,
  known: PublishedState | undefined,
): AckState {
  const fresh: AckState = {
    served: null,
    pushed: null,
    refused: null,
    isRefusedAsStale: false,
    secondTry: null,
    mustBeWhole: false,
    stop: null,
    isAhead: false,
    hasMissed: false,
  };
  if (have === null) return fresh;
  const served = servedState(have, known, have.epoch.counter < epoch.counter);
  if (have.epoch.counter > epoch.counter) return { ...fresh, served, stop: "newer_epoch" };
  if (have.epoch.counter === epoch.counter && !isSameHash(have.epoch.id, epoch.id)) {
    return { ...fresh, served, stop: "foreign_store" };
  }
  return { ...fresh, served };
}

/**
 * What is to be done, given the newest publication. A node that holds its content under another number serves the
 * newest: what changed lies outside of its subset.
 */
export function nextStep(state: AckState, newest: NewestState): Step {
  const { served, pushed, refused, stop } = state;
  if (stop !== null || pushed !== null) return "wait";
  if (refused !== null && refused.publication >= newest.publication) return "wait";
  if (served === null || served.isOfEarlierEpoch) return isRefused(refused, newest) ? "refused" : "push";
  if (isSameHash(served.stateHash, newest.stateHash)) return "serves-newest";
  if (served.publication > newest.publication) return "ahead";
  if (served.publication === newest.publication) return "diverged";
  return isRefused(refused, newest) ? "refused" : "push";
}

/** Whether this content was refused, and nothing else was published since. */
function isRefused(refused: PublishedState | null, { publication, sincePublication, stateHash }: NewestState): boolean {
  if (refused === null || !isSameHash(refused.stateHash, stateHash)) return false;
  return refused.publication >= (sincePublication ?? publication);
}

/** What a delta for the node may begin from; null when it has to be the whole. */
export function deltaBase({ served, mustBeWhole }: AckState): PublishedState | null {
  return served === null || served.isOfEarlierEpoch || mustBeWhole ? null : served;
}

/** A push begins, or waits for its turn to begin. */
export function markPushed(
  state: AckState,
  snapshot: PublishedState,
  { dueAtMs, isDelta }: Pick<PushedState, "dueAtMs" | "isDelta">,
): AckState {
  return { ...state, pushed: { ...publishedState(snapshot), dueAtMs, isDelta }, isAhead: false };
}

/** A push that has not begun will not. */
export function withoutPush(state: AckState): AckState {
  return { ...state, pushed: null };
}

/** The node serves the content of the newest, so its revision is known. */
export function markServing(state: AckState, { publication, revision, stateHash }: PublishedState): AckState {
  const held = state.served?.publication ?? publication;
  const served = {
    publication: held,
    revision,
    stateHash,
    upToPublication: Math.max(held, publication),
    isOfEarlierEpoch: false,
  };
  return { ...state, served, isAhead: false };
}

/** The newest has the same content as what was refused. */
export function markRefused(state: AckState, newest: PublishedState): AckState {
  return { ...state, refused: publishedState(newest) };
}

export function markAhead(state: AckState): AckState {
  return { ...state, isAhead: true };
}

/** A push was not answered in the time of a node that keeps up. */
export function markMissed(state: AckState): AckState {
  return state.pushed === null ? state : { ...state, hasMissed: true };
}

export interface AckedState {
  readonly publication: number;
  readonly stateHash: Uint8Array;
  readonly applyDurationMs: number;
}

export interface AckContext {
  readonly nowMs: number;
  /** Within this a push must be acked for the node to keep up. */
  readonly keepUpMs: number;
  readonly newest: PublishedState;
  /** What we know of the acked publication, if anything. */
  readonly known: PublishedState | undefined;
}

export interface AckOutcome {
  readonly state: AckState;
  readonly type: "applied" | "wrong_hash_once" | "wrong_hash_again" | "ignored";
}

/**
 * Takes an ack. It counts as applied only with the hash that we computed; with another one the whole snapshot is
 * sent once more, and after the second time the publication counts as refused.
 */
export function takeAck(state: AckState, ack: AckedState, context: AckContext): AckOutcome {
  const { pushed } = state;
  if (pushed === null || pushed.publication !== ack.publication) return takeUnaskedAck(state, ack, context);
  if (!isSameHash(pushed.stateHash, ack.stateHash)) {
    if (state.secondTry !== ack.publication) {
      const again = { pushed: null, secondTry: ack.publication, mustBeWhole: true };
      return { state: { ...state, ...again }, type: "wrong_hash_once" };
    }
    return {
      state: { ...state, pushed: null, secondTry: null, refused: pushed, isRefusedAsStale: false },
      type: "wrong_hash_again",
    };
  }
  const { dueAtMs } = pushed;
  const served = laterOf(state.served, servedAs(pushed));
  // A node that was stopped for a while and went on has caught up once it serves the newest, if applying itself
  // is quick; one that always takes long stays unwaited for, or every write would wait for it in vain.
  const hasCaughtUp = served.publication >= context.newest.publication && ack.applyDurationMs <= context.keepUpMs;
  const hasMissed = context.nowMs - dueAtMs > context.keepUpMs && !hasCaughtUp;
  const applied = { served, pushed: null, secondTry: null, mustBeWhole: false, hasMissed };
  return { state: { ...state, ...applied }, type: "applied" };
}

/** A node that serves the pushed content under a later number than it was pushed with has said so before. */
function laterOf(before: ServedState | null, acked: ServedState): ServedState {
  const isLater =
    before !== null &&
    !before.isOfEarlierEpoch &&
    before.publication > acked.publication &&
    isSameHash(before.stateHash, acked.stateHash);
  return isLater ? before : acked;
}

/** A node that reconnected while applying acks on the new stream what the old one had pushed. */
function takeUnaskedAck(state: AckState, ack: AckedState, { known }: AckContext): AckOutcome {
  const isKnown = known !== undefined && isSameHash(known.stateHash, ack.stateHash);
  const isNews = state.served === null || state.served.isOfEarlierEpoch || ack.publication > state.served.publication;
  if (state.stop !== null || !isKnown || !isNews) return { state, type: "ignored" };
  return { state: { ...state, served: servedAs(known) }, type: "applied" };
}

export interface NackedState {
  readonly publication: number;
  readonly keptPublication: number;
  readonly reason: string;
}

/** A delta did not fit what the node holds: that says nothing against the publication itself. */
const DELTA_FAULTS: ReadonlySet<string> = new Set(["unknown_base", "hash_mismatch", "invalid_delta"]);

/** Takes a nack. `kept` is what we know of the publication that the node kept, if anything. */
export function takeNack(state: AckState, nack: NackedState, kept: PublishedState | undefined): AckState {
  const stop = nack.reason === "foreign_store" ? "foreign_store" : state.stop;
  if (state.pushed?.publication === nack.publication) {
    if (state.pushed.isDelta && DELTA_FAULTS.has(nack.reason)) return { ...state, pushed: null, mustBeWhole: true };
    const isRefusedAsStale = nack.reason === "stale_publication";
    return { ...state, stop, refused: state.pushed, isRefusedAsStale, pushed: null, secondTry: null };
  }
  if (state.served !== null && !state.served.isOfEarlierEpoch && state.served.publication === nack.publication) {
    // The node served it and went back: its workers did not live with it.
    const content = kept ?? { publication: nack.keptPublication, revision: 0, stateHash: new Uint8Array() };
    const served = nack.keptPublication === 0 ? null : servedAs(content);
    return { ...state, stop, refused: state.served, isRefusedAsStale: false, served };
  }
  // What it was applying when it refused ours as older, it has refused as well.
  return { ...withoutStale(state), stop };
}

export interface HeartbeatState {
  readonly publication: number;
  readonly stateHash: Uint8Array;
  /** Counter of the epoch of what the node serves; null when it does not say. */
  readonly epochCounter: number | null;
}

/**
 * Takes what a node says it serves between pushes; an answer to a push is left to its ack or nack.
 * @param epoch ours
 */
export function takeHeartbeat(
  state: AckState,
  heartbeat: HeartbeatState,
  known: PublishedState | undefined,
  epoch: NodeHolding["epoch"],
): AckState {
  const { served, pushed, stop } = state;
  const { publication, stateHash, epochCounter } = heartbeat;
  if (pushed !== null || stop !== null || stateHash.length !== 32) return state;
  const isOfEarlierEpoch = epochCounter === null ? (served?.isOfEarlierEpoch ?? false) : epochCounter < epoch.counter;
  const isUnchanged =
    served?.publication === publication &&
    served.isOfEarlierEpoch === isOfEarlierEpoch &&
    isSameHash(served.stateHash, stateHash);
  if (isUnchanged) return withoutStale(state);
  return { ...withoutStale(state), served: servedState(heartbeat, known, isOfEarlierEpoch) };
}

/** After another word of the node's: what it refused as older than something else may be taken by now. */
function withoutStale(state: AckState): AckState {
  return state.isRefusedAsStale ? { ...state, refused: null, isRefusedAsStale: false } : state;
}

/** Whether the node serves content of at least the revision. */
export function servesRevision(state: AckState, revision: number): boolean {
  return state.stop === null && state.served !== null && state.served.revision >= revision;
}

/** What a write waits for: content of at least a revision or, for what is live while others wait, a publication. */
export type Goal = { readonly revision: number } | { readonly publication: number };

/** Whether the node serves what is waited for. */
export function servesGoal(state: AckState, goal: Goal): boolean {
  return state.stop === null && isAtLeast(state.served, goal);
}

/** Whether a write may hope for this node. */
export function isWorthWaiting(state: AckState, goal: Goal, who: "keeping-up" | "all"): boolean {
  if (state.stop !== null || state.isAhead || servesGoal(state, goal)) return false;
  if (isAtLeast(state.refused, goal)) return false;
  return who === "all" || !state.hasMissed;
}

function isAtLeast(published: (PublishedState & Partial<ServedState>) | null, goal: Goal): boolean {
  if (published === null) return false;
  if ("revision" in goal) return published.revision >= goal.revision;
  const upToPublication = published.upToPublication ?? published.publication;
  return published.isOfEarlierEpoch !== true && upToPublication >= goal.publication;
}

function servedState(
  held: { readonly publication: number; readonly stateHash: Uint8Array },
  known: PublishedState | undefined,
  isOfEarlierEpoch: boolean,
): ServedState {
  const isKnown = !isOfEarlierEpoch && known !== undefined && isSameHash(known.stateHash, held.stateHash);
  const revision = isKnown ? known.revision : 0;
  return { ...servedAs({ publication: held.publication, revision, stateHash: held.stateHash }), isOfEarlierEpoch };
}

function servedAs(published: PublishedState): ServedState {
  return { ...publishedState(published), upToPublication: published.publication, isOfEarlierEpoch: false };
}

/** Without the bytes that a snapshot brings along: a state is kept for as long as its stream is open. */
function publishedState({ publication, revision, stateHash }: PublishedState): PublishedState {
  return { publication, revision, stateHash };
}

import type { Delta, SnapshotBegin } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { isSameHash } from "../../proto/state-hash.ts";
import type { ApplyOutcome, ApplySnapshot, ReceivedSnapshot, Refusal } from "../snapshot/apply-snapshot.ts";
import type { Clock } from "./clock.ts";
import { type HeldSnapshot, HeldSnapshots } from "./held-snapshots.ts";
import { type Holding, judgeOffer } from "./judge-offer.ts";
import { applyDelta, isBase, readDelta } from "./read-delta.ts";
import {
  type Assembled,
  readBeginning,
  refusalOf,
  SnapshotAssembler,
  type SnapshotLimits,
} from "./snapshot-assembler.ts";
import type { ControlMessage } from "./sync-stream.ts";

export interface SnapshotInboxOptions {
  /** What the node started with, if it did with anything. */
  readonly restored: HeldSnapshot | null;
  /** What is served; must name a snapshot from the moment on that its `apply` resolves ok. */
  readonly holding: () => Holding | null;
  readonly apply: ApplySnapshot;
  readonly limits: SnapshotLimits;
  readonly clock: Clock;
  readonly onAck: (ack: { publication: number; stateHash: Uint8Array; applyDurationMs: number }) => void;
  readonly onNack: (publication: number, refusal: Refusal) => void;
  /** A snapshot was applied and acked. */
  readonly onApplied: (snapshot: ReceivedSnapshot) => void;
  /** A callback of these failed outside of `receive`. */
  readonly onError: (error: unknown) => void;
}

interface WaitingSnapshot {
  readonly held: HeldSnapshot;
  readonly isOfDelta: boolean;
  readonly receivedAtMs: number;
}

/**
 * Turns the messages that carry snapshots and deltas into applied snapshots, each answered by one ack or one nack. It
 * outlives streams: what was being applied when a stream broke is acked on the next one.
 *
 * What came is held in memory only from the moment on that it is served, so what was refused spoils nothing after it.
 */
export class SnapshotInbox {
  readonly #options: SnapshotInboxOptions;
  /** null between snapshots, and while the rest of a refused one comes in. */
  #assembler: SnapshotAssembler | null = null;
  #applying: ReceivedSnapshot | null = null;
  /** The newest that waits for the one being applied. */
  #waiting: WaitingSnapshot | null = null;

  /** Offered on this stream with the content that is being applied, or waits, under another number. */
  #owed: Holding | null = null;

  readonly #heldSnapshots: HeldSnapshots;

  constructor(options: SnapshotInboxOptions) {
    this.#options = { ...options, restored: null };
    this.#heldSnapshots = new HeldSnapshots(options.restored);
  }

  /** Forgets what came in part: the rest does not follow on another stream. */
  streamEnded(): void {
    this.#assembler = null;
    this.#owed = null;
  }

  /** Takes up nothing more; what is being applied goes on. */
  close(): void {
    this.#assembler = null;
    this.#waiting = null;
  }

  /** Takes a message; those that carry no snapshot are left alone. */
  receive(message: ControlMessage): void {
    if (message.case === "snapshotBegin") this.#begin(message.value);
    else if (message.case === "delta") this.#takeDelta(message.value);
    else if (this.#assembler === null) return;
    else if (message.case === "snapshotChunk") {
      const refusal = this.#assembler.add(message.value);
      if (refusal !== null) this.#finish(this.#assembler, { ok: false, refusal });
    } else if (message.case === "snapshotEnd") {
      this.#finish(this.#assembler, this.#assembler.finish(message.value));
    }
  }

  #begin(begin: SnapshotBegin): void {
    this.#assembler = null;
    const beginning = readBeginning(begin, this.#options.limits);
    if (!beginning.ok) {
      this.#options.onNack(beginning.publication, beginning.refusal);
      return;
    }
    const { head } = beginning;
    if (!this.#answersWithoutWork(head) && !this.#isUnderWay(head)) {
      this.#assembler = new SnapshotAssembler(head, begin);
    }
  }

  /** Acks what is served already and nacks what must not replace it; says whether it did either. */
  #answersWithoutWork(offer: Holding): boolean {
    const verdict = judgeOffer(this.#options.holding(), offer);
    const { publication, stateHash } = offer;
    if (verdict.type === "duplicate") this.#options.onAck({ publication, stateHash, applyDurationMs: 0 });
    if (verdict.type === "refuse") this.#options.onNack(publication, refusalOf(verdict.reason, verdict.message));
    return verdict.type !== "take";
  }

  /**
   * Whether the offer is no better than what is being applied. The same content is answered when that is done, under the
   * number that it came with here: a control plane that was slower than the last one has an earlier number for it.
   */
  #isUnderWay(offer: Holding): boolean {
    const underWay = this.#waiting?.held.snapshot ?? this.#applying;
    if (underWay === null) return false;
    const verdict = judgeOffer(underWay, offer);
    if (verdict.type === "refuse") {
      this.#options.onNack(offer.publication, refusalOf(verdict.reason, verdict.message));
    }
    const isNumberedAnew = verdict.type === "duplicate" && offer.publication !== underWay.publication;
    // One at a time: a control plane pushes the next when the one before is answered.
    if (isNumberedAnew) this.#owed = offer;
    return verdict.type !== "take";
  }

  /** @param refusal of the content that was waited for; null when it is served */
  #answerOwed({ stateHash }: Holding, refusal: Refusal | null): void {
    const owed = this.#owed;
    if (owed === null || !isSameHash(owed.stateHash, stateHash)) return;
    this.#owed = null;
    if (refusal === null) this.#answersWithoutWork(owed);
    else this.#options.onNack(owed.publication, refusal);
  }

  #takeDelta(delta: Delta): void {
    const read = readDelta(delta);
    if (!read.ok) {
      this.#options.onNack(read.publication, read.refusal);
      return;
    }
    const { head, basePublication } = read;
    if (this.#answersWithoutWork(head) || this.#isUnderWay(head)) return;
    const base = this.#served();
    if (base === null || !isBase(base.snapshot, head, basePublication)) {
      const served = this.#options.holding()?.publication ?? 0;
      const message = `the delta begins from publication ${basePublication}, this node has the content of ${served}`;
      this.#options.onNack(head.publication, refusalOf("unknown_base", message));
      return;
    }
    const outcome = applyDelta(base, delta, head, this.#options.limits);
    if (outcome.ok) this.#take(outcome.held, true);
    else this.#options.onNack(head.publication, outcome.refusal);
  }

  #finish(assembler: SnapshotAssembler, assembled: Assembled): void {
    this.#assembler = null;
    if (assembled.ok) this.#take(assembled.held, false);
    else this.#options.onNack(assembler.head.publication, assembled.refusal);
  }

  #take(held: HeldSnapshot, isOfDelta: boolean): void {
    this.#waiting = { held, isOfDelta, receivedAtMs: this.#options.clock.monotonicMs() };
    if (this.#applying !== null) return;
    this.#applyWaiting().catch((error) => {
      this.#applying = null;
      this.#options.onError(error);
    });
  }

  async #applyWaiting(): Promise<void> {
    while (this.#waiting !== null) {
      const { held, isOfDelta, receivedAtMs } = this.#waiting;
      const { snapshot } = held;
      this.#waiting = null;
      // Judged again: what was applied meanwhile may be newer.
      if (this.#answersWithoutWork(snapshot)) {
        this.#answerOwed(snapshot, null);
        continue;
      }
      this.#applying = snapshot;
      const before = this.#served();
      const outcome = await this.#applied(snapshot);
      this.#applying = null;
      const { publication, stateHash } = snapshot;
      if (outcome.ok) {
        this.#heldSnapshots.applied(held, isOfDelta ? before : null);
        const applyDurationMs = this.#options.clock.monotonicMs() - receivedAtMs;
        this.#options.onAck({ publication, stateHash, applyDurationMs });
        this.#options.onApplied(snapshot);
      } else {
        this.#options.onNack(publication, outcome.refusal);
      }
      this.#answerOwed(snapshot, outcome.ok ? null : outcome.refusal);
    }
  }

  /** What is served, with its content; null when that is not known. */
  #served(): HeldSnapshot | null {
    return this.#heldSnapshots.of(this.#options.holding());
  }

  async #applied(snapshot: ReceivedSnapshot): Promise<ApplyOutcome> {
    try {
      return await this.#options.apply(snapshot);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      return { ok: false, refusal: refusalOf("apply_failed", `the node failed to apply the snapshot: ${cause}`) };
    }
  }
}

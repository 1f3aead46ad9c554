import type { Delta, SnapshotBegin } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { ApplyOutcome, ApplySnapshot, ReceivedSnapshot, Refusal } from "../snapshot/apply-snapshot.ts";
import type { Clock } from "./clock.ts";
import { type Holding, judgeOffer } from "./judge-offer.ts";
import {
  type Assembled,
  readBeginning,
  refusalOf,
  SnapshotAssembler,
  type SnapshotLimits,
} from "./snapshot-assembler.ts";
import type { ControlMessage } from "./sync-stream.ts";

export interface SnapshotInboxOptions {
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
  readonly snapshot: ReceivedSnapshot;
  readonly receivedAtMs: number;
}

/**
 * Turns the messages that carry snapshots into applied snapshots, each answered by one ack or one nack. It outlives
 * streams: what was being applied when a stream broke is acked on the next one.
 */
export class SnapshotInbox {
  readonly #options: SnapshotInboxOptions;
  /** null between snapshots, and while the rest of a refused one comes in. */
  #assembler: SnapshotAssembler | null = null;
  #applying: ReceivedSnapshot | null = null;
  /** The newest that waits for the one being applied. */
  #waiting: WaitingSnapshot | null = null;

  constructor(options: SnapshotInboxOptions) {
    this.#options = options;
  }

  /** Forgets what came in part: the rest does not follow on another stream. */
  streamEnded(): void {
    this.#assembler = null;
  }

  /** Takes up nothing more; what is being applied goes on. */
  close(): void {
    this.#assembler = null;
    this.#waiting = null;
  }

  /** Takes a message; those that carry no snapshot are left alone. */
  receive(message: ControlMessage): void {
    if (message.case === "snapshotBegin") this.#begin(message.value);
    else if (message.case === "delta") this.#refuseDelta(message.value);
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

  /** Whether the offer is no better than what is being applied; an equal one is answered when that is done. */
  #isUnderWay(offer: Holding): boolean {
    const underWay = this.#waiting?.snapshot ?? this.#applying;
    if (underWay === null) return false;
    const verdict = judgeOffer(underWay, offer);
    if (verdict.type === "refuse") {
      this.#options.onNack(offer.publication, refusalOf(verdict.reason, verdict.message));
    }
    return verdict.type !== "take";
  }

  /** What a later version of the protocol may send; it must answer a push with something. */
  #refuseDelta({ publication }: Delta): void {
    this.#options.onNack(Number(publication), refusalOf("unsupported", "this node takes whole snapshots only"));
  }

  #finish(assembler: SnapshotAssembler, assembled: Assembled): void {
    this.#assembler = null;
    if (!assembled.ok) {
      this.#options.onNack(assembler.head.publication, assembled.refusal);
      return;
    }
    this.#waiting = { snapshot: assembled.snapshot, receivedAtMs: this.#options.clock.monotonicMs() };
    if (this.#applying !== null) return;
    this.#applyWaiting().catch((error) => {
      this.#applying = null;
      this.#options.onError(error);
    });
  }

  async #applyWaiting(): Promise<void> {
    while (this.#waiting !== null) {
      const { snapshot, receivedAtMs } = this.#waiting;
      this.#waiting = null;
      // Judged again: what was applied meanwhile may be newer.
      if (this.#answersWithoutWork(snapshot)) continue;
      this.#applying = snapshot;
      const outcome = await this.#applied(snapshot);
      this.#applying = null;
      const { publication, stateHash } = snapshot;
      if (outcome.ok) {
        const applyDurationMs = this.#options.clock.monotonicMs() - receivedAtMs;
        this.#options.onAck({ publication, stateHash, applyDurationMs });
        this.#options.onApplied(snapshot);
      } else {
        this.#options.onNack(publication, outcome.refusal);
      }
    }
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

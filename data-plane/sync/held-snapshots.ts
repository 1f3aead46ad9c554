import { isSameHash } from "../../proto/state-hash.ts";
import type { ReceivedSnapshot } from "../snapshot/apply-snapshot.ts";
import type { HeldContent } from "../snapshot/held-content.ts";
import type { Holding } from "./judge-offer.ts";

/** A snapshot with its content in a form that deltas can be applied to. */
export interface HeldSnapshot {
  readonly snapshot: ReceivedSnapshot;
  readonly content: HeldContent;
}

/**
 * The snapshots that this node may find itself serving: the one that was applied last, and the one before it, to which
 * it goes back when its workers die of the last. Of one that came whole nothing is shared with the one before, so that
 * one is not kept: after going back, the node then has no base for a delta and gets the whole.
 */
export class HeldSnapshots {
  #last: HeldSnapshot | null;
  #before: HeldSnapshot | null = null;

  /** @param restored what the node started with, if anything */
  constructor(restored: HeldSnapshot | null) {
    this.#last = restored;
  }

  /** The one that is served; null when its content is not known. */
  of(served: Holding | null): HeldSnapshot | null {
    if (served === null) return null;
    for (const held of [this.#last, this.#before]) if (held !== null && isSame(held.snapshot, served)) return held;
    return null;
  }

  /** @param before what was served until now, where the two share what they have in common; else null */
  applied(last: HeldSnapshot, before: HeldSnapshot | null): void {
    this.#last = last;
    this.#before = before;
  }
}

function isSame(snapshot: ReceivedSnapshot, { epoch, publication, stateHash }: Holding): boolean {
  return (
    snapshot.publication === publication &&
    snapshot.epoch.counter === epoch.counter &&
    isSameHash(snapshot.epoch.id, epoch.id) &&
    isSameHash(snapshot.stateHash, stateHash)
  );
}

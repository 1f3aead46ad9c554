import { isSameHash } from "../../proto/state-hash.ts";

/** What names the state that a node holds, or that it is offered. */
export interface Holding {
  readonly epoch: { readonly counter: number; readonly id: Uint8Array };
  readonly publication: number;
  /** 32 bytes. */
  readonly stateHash: Uint8Array;
}

/** What to do with an offered publication. */
export type OfferVerdict =
  | { readonly type: "take" }
  /** The same content is held already: ack without work. */
  | { readonly type: "duplicate" }
  | { readonly type: "refuse"; readonly reason: OfferRefusal; readonly message: string };

export type OfferRefusal = "foreign_store" | "stale_epoch" | "stale_publication" | "diverged";

/**
 * Decides whether an offered publication replaces what is held. Within an epoch only higher publications do, across
 * epochs only higher counters: so a delayed, replayed or restored older state never replaces a newer one.
 */
export function judgeOffer(held: Holding | null, offer: Holding): OfferVerdict {
  if (held === null || offer.epoch.counter > held.epoch.counter) return { type: "take" };
  if (offer.epoch.counter < held.epoch.counter) {
    return refuse("stale_epoch", `epoch ${offer.epoch.counter} is older than ${held.epoch.counter}, which is held`);
  }
  if (!isSameHash(offer.epoch.id, held.epoch.id)) {
    return refuse("foreign_store", `another store has the same epoch counter ${offer.epoch.counter}`);
  }
  if (offer.publication > held.publication) return { type: "take" };
  if (isSameHash(offer.stateHash, held.stateHash)) return { type: "duplicate" };
  if (offer.publication === held.publication) {
    return refuse("diverged", `publication ${offer.publication} is held with other content`);
  }
  return refuse(
    "stale_publication",
    `publication ${offer.publication} is older than ${held.publication}, which is held`,
  );
}

function refuse(reason: OfferRefusal, message: string): OfferVerdict {
  return { type: "refuse", reason, message };
}

import type { Delta } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { isSameHash } from "../../proto/state-hash.ts";
import type { Refusal } from "../snapshot/apply-snapshot.ts";
import type { EntityKey } from "../snapshot/held-content.ts";
import { isCount, isWellNamed } from "../snapshot/snapshot-head.ts";
import type { HeldSnapshot } from "./held-snapshots.ts";
import type { Holding } from "./judge-offer.ts";
import {
  isNameTooLong,
  nameTooLong,
  refusalOf,
  type SnapshotHead,
  type SnapshotLimits,
  sizeRefusal,
} from "./snapshot-assembler.ts";

/** What came of a delta: the snapshot that it makes of what is held, or why it does not fit. */
export type DeltaOutcome =
  | { readonly ok: true; readonly held: HeldSnapshot }
  | { readonly ok: false; readonly refusal: Refusal };

export type ReadDelta =
  | { readonly ok: true; readonly head: SnapshotHead; readonly basePublication: number }
  | { readonly ok: false; readonly publication: number; readonly refusal: Refusal };

/** Reads what a delta says of itself. */
export function readDelta(delta: Delta): ReadDelta {
  const publication = Number(delta.publication);
  const basePublication = Number(delta.basePublication);
  const revision = Number(delta.revision);
  const counter = Number(delta.epoch?.counter ?? -1);
  // Copies, as of the bodies below.
  const id = delta.epoch?.id.slice() ?? new Uint8Array();
  const head: SnapshotHead = { epoch: { counter, id }, publication, revision, stateHash: delta.stateHash.slice() };
  if (!isWellNamed(head) || !isCount(basePublication) || basePublication >= publication) {
    const refusal = refusalOf("invalid_delta", "the delta does not name its epoch, publications and hash");
    return { ok: false, publication: isCount(publication) ? publication : 0, refusal };
  }
  if ([...delta.upserts, ...delta.deletes].some(isNameTooLong)) {
    return { ok: false, publication, refusal: refusalOf("invalid_delta", nameTooLong) };
  }
  return { ok: true, head, basePublication };
}

/**
 * Whether a delta may be built upon what is served. Only what is served counts, not what is just being applied: that
 * may yet be refused. A control plane knows of nothing else, since it hears of what is applied by its ack.
 */
export function isBase(served: Holding, head: SnapshotHead, basePublication: number): boolean {
  const isSameEpoch = served.epoch.counter === head.epoch.counter && isSameHash(served.epoch.id, head.epoch.id);
  return isSameEpoch && served.publication === basePublication;
}

/** The state that a delta makes of its base, whole, its hash checked: from here on it is like any other snapshot. */
export function applyDelta(base: HeldSnapshot, delta: Delta, head: SnapshotHead, limits: SnapshotLimits): DeltaOutcome {
  // The bodies are parts of the message as it came: as such they would keep all of it in memory.
  const upserts = delta.upserts.map(({ kind, id, body }) => ({ kind, id, body: body.slice() }));
  const changed = base.content.with(upserts, delta.deletes);
  if (!changed.ok) return refused("invalid_delta", changed.problem, changed.entity);
  const { content } = changed;
  const tooLarge = sizeRefusal(content.entities.length, content.bodyBytes, limits);
  if (tooLarge !== null) return { ok: false, refusal: tooLarge };
  if (!isSameHash(content.stateHash(), head.stateHash)) {
    return refused("hash_mismatch", "the state hash after the delta is not the one that was announced");
  }
  return { ok: true, held: { snapshot: { ...head, entities: content.entities }, content } };
}

function refused(reason: string, message: string, entity: EntityKey = { kind: "", id: "" }): DeltaOutcome {
  return { ok: false, refusal: { ...refusalOf(reason, message), entityKind: entity.kind, entityId: entity.id } };
}

import type { SnapshotBegin, SnapshotChunk, SnapshotEnd } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { bytesExcess, type HardLimits } from "../../proto/hard-limits.ts";
import { isSameHash, StateHash } from "../../proto/state-hash.ts";
import type { ReceivedSnapshot, Refusal, SnapshotEntity } from "../snapshot/apply-snapshot.ts";
import { excessProblem } from "../snapshot/entity-problem.ts";
import { HeldContent } from "../snapshot/held-content.ts";
import { isCount, isWellNamed } from "../snapshot/snapshot-head.ts";
import type { HeldSnapshot } from "./held-snapshots.ts";

/** How large a snapshot may be, whatever it is of. */
export interface SnapshotLimits extends Pick<HardLimits, "bodyBytesMax"> {
  readonly entityMaxCount: number;
}

/** What a snapshot says of itself before its content comes. */
export type SnapshotHead = Omit<ReceivedSnapshot, "entities">;

export type Beginning =
  | { readonly ok: true; readonly head: SnapshotHead }
  | { readonly ok: false; readonly publication: number; readonly refusal: Refusal };

export type Assembled =
  | { readonly ok: true; readonly held: HeldSnapshot }
  | { readonly ok: false; readonly refusal: Refusal };

/** Reads a snapshot's beginning and holds it to the limits, so that nothing too large is ever collected. */
export function readBeginning(begin: SnapshotBegin, limits: SnapshotLimits): Beginning {
  const publication = Number(begin.publication);
  const revision = Number(begin.revision);
  const counter = Number(begin.epoch?.counter ?? -1);
  // Copies: as parts of the message they would keep all of it in memory.
  const id = begin.epoch?.id.slice() ?? new Uint8Array();
  const head: SnapshotHead = { epoch: { counter, id }, publication, revision, stateHash: begin.stateHash.slice() };
  if (!isWellNamed(head) || ![begin.entityCount, begin.byteCount].every((count) => isCount(Number(count)))) {
    const refusal = refusalOf("invalid_snapshot", "the snapshot does not name its epoch, publication, size and hash");
    return { ok: false, publication: isCount(publication) ? publication : 0, refusal };
  }
  const tooLarge = sizeRefusal(Number(begin.entityCount), Number(begin.byteCount), limits);
  if (tooLarge !== null) return { ok: false, publication, refusal: tooLarge };
  return { ok: true, head };
}

/** Why a node does not take so much. */
export function sizeRefusal(entityCount: number, bodyBytes: number, limits: SnapshotLimits): Refusal | null {
  const excess =
    bytesExcess(bodyBytes, limits) ??
    (entityCount > limits.entityMaxCount
      ? { field: "", message: `there are ${entityCount} entities, over the limit of ${limits.entityMaxCount}` }
      : null);
  if (excess === null) return null;
  const { reason, message } = excessProblem(excess);
  return refusalOf(reason, message);
}

const kindMaxLength = 64;
const idMaxLength = 128;
export const nameTooLong = "the kind or the id of an entity is too long";

/** Bodies are parts of the message that brought them, and kept as such where they are most of it. */
const messageFrameBytes = 64 * 1024;

/** Collects the chunks of one snapshot and checks the whole against what its beginning announced. */
export class SnapshotAssembler {
  readonly head: SnapshotHead;
  readonly #entityCount: number;
  readonly #byteCount: number;
  readonly #entities: SnapshotEntity[] = [];
  #receivedBytes = 0;

  /** @param begin that `head` was read from */
  constructor(head: SnapshotHead, begin: SnapshotBegin) {
    this.head = head;
    this.#entityCount = Number(begin.entityCount);
    this.#byteCount = Number(begin.byteCount);
  }

  /** Takes a chunk; a refusal when it does not belong here or brings more than was announced. */
  add(chunk: SnapshotChunk): Refusal | null {
    if (Number(chunk.publication) !== this.head.publication) {
      return refusalOf("invalid_snapshot", `a chunk of publication ${chunk.publication} came in between`);
    }
    if (chunk.entities.some(isNameTooLong)) return refusalOf("invalid_snapshot", nameTooLong);
    const bodyBytes = chunk.entities.reduce((sum, { body }) => sum + body.length, 0);
    for (const { kind, id, body } of chunk.entities) {
      const isSmallPart = body.buffer.byteLength > 2 * bodyBytes + messageFrameBytes;
      this.#entities.push({ kind, id, body: isSmallPart ? body.slice() : body });
    }
    this.#receivedBytes += bodyBytes;
    if (this.#entities.length > this.#entityCount || this.#receivedBytes > this.#byteCount) {
      return refusalOf("invalid_snapshot", "more came than the snapshot announced");
    }
    return null;
  }

  /** The whole snapshot, its hash checked over the bytes as they came. */
  finish(end: SnapshotEnd): Assembled {
    if (Number(end.publication) !== this.head.publication) {
      return refused("invalid_snapshot", `the end of publication ${end.publication} came in between`);
    }
    if (this.#entities.length !== this.#entityCount || this.#receivedBytes !== this.#byteCount) {
      const got = `${this.#entities.length} entities of ${this.#receivedBytes} bytes`;
      return refused("invalid_snapshot", `${got} came, ${this.#entityCount} of ${this.#byteCount} were announced`);
    }
    const state = new StateHash();
    for (const entity of this.#entities) {
      if (!state.set(entity)) {
        const message = "the snapshot holds two entities of this kind and id";
        return { ok: false, refusal: { ...refusalOf("duplicate_entity", message), ...entityIdentity(entity) } };
      }
    }
    if (!isSameHash(state.digest(), this.head.stateHash)) {
      return refused("hash_mismatch", "the state hash of what came is not the one that was announced");
    }
    const content = HeldContent.of(this.#entities, state);
    return { ok: true, held: { snapshot: { ...this.head, entities: content.entities }, content } };
  }
}

/** A refusal that is about the snapshot, not about an entity in it. */
export function refusalOf(reason: string, message: string): Refusal {
  return { reason, entityKind: "", entityId: "", entityName: "", field: "", message };
}

function refused(reason: string, message: string): Assembled {
  return { ok: false, refusal: refusalOf(reason, message) };
}

function entityIdentity({ kind, id }: SnapshotEntity): Pick<Refusal, "entityKind" | "entityId"> {
  return { entityKind: kind, entityId: id };
}

/** Of an entity that was not counted by its body's bytes: ids are uuids. */
export function isNameTooLong({ kind, id }: Pick<SnapshotEntity, "kind" | "id">): boolean {
  return kind.length > kindMaxLength || id.length > idMaxLength;
}

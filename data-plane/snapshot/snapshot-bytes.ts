import { createHash, hash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  EntitySchema,
  SnapshotBeginSchema,
  type SnapshotChunk,
  SnapshotChunkSchema,
} from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { isSameHash, StateHash } from "../../proto/state-hash.ts";
import type { ReceivedSnapshot, SnapshotEntity } from "./apply-snapshot.ts";
import { HeldContent } from "./held-content.ts";
import { isWellNamed } from "./snapshot-head.ts";

/** What a file held, or why it is not to be used. */
export type DecodedSnapshot =
  | { readonly ok: true; readonly snapshot: ReceivedSnapshot; readonly content: HeldContent }
  | { readonly ok: false; readonly problem: string };

/** First bytes of a snapshot file; the digit is its format's version. */
const MAGIC = Buffer.from("PENSTOCK-SNAP 1\n", "latin1");

const DIGEST_BYTES = 32;
const LENGTH_BYTES = 4;

/** Entities of one frame: encoding it keeps a thread for a millisecond, and no frame's length comes near 32 bits. */
const FRAME_ENTITY_COUNT = 250;

/**
 * A snapshot as the bytes of a file: magic with version, then frames of {length, 4 bytes big-endian; message}: a
 * SnapshotBegin and SnapshotChunks as on the stream; then SHA-256 of all before. The state hash covers the content
 * only; the digest also covers what names it (epoch, publication), so that no bit of the file may flip unseen.
 *
 * Yields them part by part, about 50 KB each: a large state as a whole would be in memory three times over.
 */
export function* encodeSnapshotBytes(snapshot: ReceivedSnapshot): Generator<Uint8Array> {
  const digest = createHash("sha256");
  for (const part of contentParts(snapshot)) {
    digest.update(part);
    yield part;
  }
  yield digest.digest();
}

function* contentParts(snapshot: ReceivedSnapshot): Generator<Uint8Array> {
  const { epoch, publication, revision, stateHash, entities } = snapshot;
  const begin = create(SnapshotBeginSchema, {
    epoch: { counter: BigInt(epoch.counter), id: epoch.id },
    publication: BigInt(publication),
    revision: BigInt(revision),
    stateHash,
    entityCount: BigInt(entities.length),
    byteCount: BigInt(entities.reduce((sum, { body }) => sum + body.length, 0)),
  });
  yield MAGIC;
  yield frame(toBinary(SnapshotBeginSchema, begin));
  for (let first = 0; first < entities.length; first += FRAME_ENTITY_COUNT) {
    const chunk = create(SnapshotChunkSchema, {
      publication: begin.publication,
      entities: entities.slice(first, first + FRAME_ENTITY_COUNT).map((entity) => create(EntitySchema, entity)),
    });
    yield frame(toBinary(SnapshotChunkSchema, chunk));
  }
}

/** Reads what `encodeSnapshotBytes` wrote; everything in it is verified before anything is returned. */
export function decodeSnapshotBytes(file: Uint8Array): DecodedSnapshot {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return unusable("not a snapshot file of this version");
  const content = bytes.subarray(0, bytes.length - DIGEST_BYTES);
  const digest = bytes.subarray(bytes.length - DIGEST_BYTES);
  if (content.length < MAGIC.length || !hash("sha256", content, "buffer").equals(digest)) {
    return unusable("its bytes are not those that were written: cut short or damaged");
  }
  try {
    return decodeContent(content.subarray(MAGIC.length));
  } catch (error) {
    // Written so, then, by something else than this program: the digest was right.
    return unusable(`its content cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function decodeContent(bytes: Buffer): DecodedSnapshot {
  const frames = [...framesOf(bytes)];
  const begin = fromBinary(SnapshotBeginSchema, frames[0] ?? new Uint8Array());
  const entities: SnapshotEntity[] = [];
  const state = new StateHash();
  for (const frame of frames.slice(1)) {
    const chunk: SnapshotChunk = fromBinary(SnapshotChunkSchema, frame);
    for (const { kind, id, body } of chunk.entities) {
      entities.push({ kind, id, body });
      state.set({ kind, id, body });
    }
  }
  if (begin.epoch === undefined || state.size !== entities.length || BigInt(entities.length) !== begin.entityCount) {
    return unusable("its content is not one whole snapshot");
  }
  if (!isSameHash(state.digest(), begin.stateHash)) return unusable("its state hash is not that of its content");
  const head = {
    epoch: { counter: Number(begin.epoch.counter), id: begin.epoch.id },
    publication: Number(begin.publication),
    revision: Number(begin.revision),
    stateHash: begin.stateHash,
  };
  if (!isWellNamed(head)) return unusable("its epoch, publication or revision is none");
  const content = HeldContent.of(entities, state);
  return { ok: true, snapshot: { ...head, entities: content.entities }, content };
}

function frame(message: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}

function* framesOf(content: Buffer): Generator<Uint8Array> {
  let offset = 0;
  while (offset < content.length) {
    const length = content.readUInt32BE(offset);
    const end = offset + LENGTH_BYTES + length;
    if (end > content.length) throw new Error("a frame reaches beyond the end");
    // A plain view: the entities' bodies then are Uint8Arrays, not Buffers.
    yield new Uint8Array(content.buffer, content.byteOffset + offset + LENGTH_BYTES, length);
    offset = end;
  }
}

function unusable(problem: string): DecodedSnapshot {
  return { ok: false, problem };
}

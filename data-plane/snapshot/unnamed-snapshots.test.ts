import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { SnapshotBeginSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { StateHash } from "../../proto/state-hash.ts";
import { decodeSnapshotBytes } from "./snapshot-bytes.ts";

const int64Max = 2n ** 63n - 1n;
const epoch = { counter: 1n, id: Buffer.alloc(16, 1) };

/** A whole file, its digest right, as a program of ours would not write it. */
function fileOf(given: object): Buffer {
  const begin = { epoch, publication: 1n, revision: 1n, stateHash: new StateHash().digest(), ...given };
  const message = toBinary(SnapshotBeginSchema, create(SnapshotBeginSchema, begin));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  const content = Buffer.concat([Buffer.from("PENSTOCK-SNAP 1\n"), length, message]);
  return Buffer.concat([content, createHash("sha256").update(content).digest()]);
}

describe("decodeSnapshotBytes", () => {
  it.each([
    { name: "a publication of 2^63 - 1", given: { publication: int64Max } },
    { name: "a publication below 0", given: { publication: -1n } },
    { name: "a revision of 2^63 - 1", given: { revision: int64Max } },
    { name: "an epoch of 2^63 - 1", given: { epoch: { ...epoch, counter: int64Max } } },
    { name: "an epoch of -2^63", given: { epoch: { ...epoch, counter: -int64Max - 1n } } },
    { name: "an epoch without an id", given: { epoch: { counter: 1n } } },
    { name: "an epoch with an id of a megabyte", given: { epoch: { ...epoch, id: Buffer.alloc(1_048_576) } } },
  ])("takes no file, be it a seed, of $name: no hello could name it", ({ given }) => {
    expect(decodeSnapshotBytes(fileOf({}))).toMatchObject({ ok: true });
    expect(decodeSnapshotBytes(fileOf(given))).toEqual({
      ok: false,
      problem: "its epoch, publication or revision is none",
    });
  });
});

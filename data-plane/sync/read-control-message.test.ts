import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { readControlMessage } from "./read-control-message.ts";

const entityMaxCount = 100;
const fieldMaxCount = 800;

const encoded = (message: MessageInitShape<typeof ConnectResponseSchema>["message"]) =>
  toBinary(ConnectResponseSchema, create(ConnectResponseSchema, { message }));

const entities = (count: number, bodyBytes = 0) =>
  Array.from({ length: count }, (_, i) => ({ kind: "route", id: `${i}`, body: new Uint8Array(bodyBytes) }));

/** A field of a message, in bytes: its number, its length and what is in it. */
function field(number: number, inner: Uint8Array): Uint8Array {
  const length = [0x80 | (inner.length & 0x7f), 0x80 | ((inner.length >> 7) & 0x7f), inner.length >> 14];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), inner]);
}

/** Field 15 of a number that is 0, which none of the messages knows. */
const unknown = (count: number) => Buffer.alloc(2 * count).fill(Buffer.from([0x78, 0]));

describe("readControlMessage", () => {
  it.each([
    { name: "a chunk", read: () => encoded({ case: "snapshotChunk", value: { entities: entities(100, 1_000) } }) },
    {
      name: "a delta",
      read: () => encoded({ case: "delta", value: { upserts: entities(50), deletes: entities(50) } }),
    },
  ])("reads $name of as many entities as there may be", ({ read }) => {
    const bytes = read();
    expect(toBinary(ConnectResponseSchema, readControlMessage(bytes, entityMaxCount))).toEqual(bytes);
  });

  it.each([
    { name: "a chunk", read: () => encoded({ case: "snapshotChunk", value: { entities: entities(101) } }) },
    {
      name: "a delta",
      read: () => encoded({ case: "delta", value: { upserts: entities(50), deletes: entities(51) } }),
    },
  ])("refuses $name of one entity more", ({ read }) => {
    expect(() => readControlMessage(read(), entityMaxCount)).toThrow("a message has more than 100 entities");
  });

  it.each([
    { name: "in the message", wrap: (fields: Uint8Array) => fields, outerCount: 0 },
    { name: "in an entity", wrap: (fields: Uint8Array) => field(2, field(2, fields)), outerCount: 2 },
    { name: "in an epoch", wrap: (fields: Uint8Array) => field(6, field(3, fields)), outerCount: 2 },
  ])("keeps nothing of unknown fields $name, and refuses too many", ({ wrap, outerCount }) => {
    const most = fieldMaxCount - outerCount;
    const read = readControlMessage(wrap(unknown(most)), entityMaxCount);
    expect(toBinary(ConnectResponseSchema, read).length).toBeLessThan(10);
    expect(() => readControlMessage(wrap(unknown(most + 1)), entityMaxCount)).toThrow(
      "a message has more than 800 fields",
    );
  });

  it("refuses a message that begins again and again", () => {
    const heartbeats = Buffer.alloc(2 * (fieldMaxCount + 1)).fill(Buffer.from([0x32, 0]));
    expect(() => readControlMessage(heartbeats, entityMaxCount)).toThrow("a message has more than 800 fields");
  });

  it("throws where the bytes are no message", () => {
    for (const bytes of [Buffer.alloc(1_000), Buffer.alloc(1_000, 0x0b), field(2, field(2, Buffer.alloc(500, 0xff)))])
      expect(() => readControlMessage(bytes, entityMaxCount)).toThrow();
  });
});

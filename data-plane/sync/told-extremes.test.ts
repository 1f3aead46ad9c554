import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { scriptedEpoch } from "../../test/support/scripted-sync-server.ts";
import { startClient, startServer, u1, u2 } from "../../test/support/sync-client-rig.ts";

// A control plane may say anything: it costs a nack, a problem or the stream, and nothing of it is held.

type Said = MessageInitShape<typeof ConnectResponseSchema>["message"];

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);
const epoch = { counter: 1n, id: scriptedEpoch.id };
const stateHash = new Uint8Array(32);

const begin = (given: object): Said => ({
  case: "snapshotBegin",
  value: { epoch, publication: 9n, revision: 9n, stateHash, entityCount: 1n, byteCount: 1n, ...given },
});
const delta = (given: object): Said => ({
  case: "delta",
  value: { epoch, basePublication: 1n, publication: 9n, revision: 9n, stateHash, ...given },
});
const chunk = (entity: object): Said => ({ case: "snapshotChunk", value: { publication: 9n, entities: [entity] } });
const named = { kind: "upstream", id: "i", body: new Uint8Array(1) };

const refused: { name: string; said: Said[]; reason: string; publication: bigint }[] = [
  ...[
    { name: "a publication of 2^63 - 1", given: { publication: int64Max }, publication: 0n },
    { name: "a publication of -2^63", given: { publication: int64Min }, publication: 0n },
    { name: "a revision of 2^63 - 1", given: { revision: int64Max }, publication: 9n },
    { name: "an epoch of 2^63 - 1", given: { epoch: { ...epoch, counter: int64Max } }, publication: 9n },
    { name: "an epoch of -2^63", given: { epoch: { ...epoch, counter: int64Min } }, publication: 9n },
    { name: "an epoch with a long id", given: { epoch: { counter: 2n, id: Buffer.alloc(65) } }, publication: 9n },
    { name: "an epoch without an id", given: { epoch: { counter: 2n } }, publication: 9n },
    { name: "no epoch", given: { epoch: undefined }, publication: 9n },
    { name: "a hash of 31 bytes", given: { stateHash: new Uint8Array(31) }, publication: 9n },
  ].flatMap(({ name, given, publication }) => [
    { name: `a snapshot of ${name}`, said: [begin(given)], reason: "invalid_snapshot", publication },
    { name: `a delta of ${name}`, said: [delta(given)], reason: "invalid_delta", publication },
  ]),
  ...[int64Max, 2n ** 62n, int64Min].flatMap((count) => [
    { name: `${count} entities`, said: [begin({ entityCount: count })], reason: "invalid_snapshot", publication: 9n },
    { name: `${count} bytes`, said: [begin({ byteCount: count })], reason: "invalid_snapshot", publication: 9n },
  ]),
  ...[{ kind: "k".repeat(65) }, { id: "i".repeat(129) }].flatMap((long) => [
    {
      name: `a snapshot with a long ${Object.keys(long)}`,
      said: [begin({}), chunk({ ...named, ...long })],
      reason: "invalid_snapshot",
      publication: 9n,
    },
    {
      name: `a delta with a long ${Object.keys(long)}`,
      said: [delta({ upserts: [{ ...named, ...long }] })],
      reason: "invalid_delta",
      publication: 9n,
    },
    {
      name: `a delta without a long ${Object.keys(long)}`,
      said: [delta({ deletes: [{ kind: "upstream", id: "i", ...long }] })],
      reason: "invalid_delta",
      publication: 9n,
    },
  ]),
];

const passedOver: { name: string; said: Said[] }[] = [
  ...[int64Max, int64Min].flatMap((n) => [
    {
      name: `a heartbeat of ${n}`,
      said: [{ case: "heartbeat", value: { publication: n, epoch: { counter: n } } } as Said],
    },
    { name: `up to date with ${n}`, said: [{ case: "upToDate", value: { publication: n } } as Said] },
    {
      name: `a drain of ${n} s`,
      said: [{ case: "drain", value: { timeout: { seconds: n, nanos: 2 ** 31 - 1 } } } as Said],
    },
    { name: `query ${n} cancelled`, said: [{ case: "cancelQuery", value: { id: n } } as Said] },
    { name: `a chunk of ${n}`, said: [{ case: "snapshotChunk", value: { publication: n } } as Said] },
    { name: `an end of ${n}`, said: [{ case: "snapshotEnd", value: { publication: n } } as Said] },
  ]),
  { name: "no message", said: [{ case: undefined }] },
  { name: "a beginning in a beginning", said: [begin({}), begin({})] },
];

describe("startSyncClient", () => {
  it.each(refused)("refuses $name, and holds on to nothing of it", async ({ said, reason, publication }) => {
    const server = await startServer();
    const { applied, clock } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    await server.nextMessage("ack");
    for (const message of said) server.send(message);
    expect(await server.nextMessage("nack")).toMatchObject({ reason, publication, keptPublication: 1n });
    clock.advance(12_000);
    expect(await server.nextMessage("heartbeat")).toMatchObject({ publication: 1n, epoch: { counter: 1n } });
    server.sendSnapshot([u1, u2], { publication: 2 });
    expect((await server.nextMessage("ack")).publication).toBe(2n);
    expect([applied.length, server.streams.length]).toEqual([2, 1]);
  });

  it.each(passedOver)("goes on where it is told $name", async ({ said }) => {
    const server = await startServer();
    const { clock } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    await server.nextMessage("ack");
    for (const message of said) server.send(message);
    server.send({ case: "query", value: { id: int64Min, kind: "alive", body: new Uint8Array(1_000) } });
    expect(await server.nextMessage("queryResult")).toMatchObject({ id: int64Min });
    clock.advance(12_000);
    expect(await server.nextMessage("heartbeat")).toMatchObject({ publication: 1n });
    server.sendSnapshot([u1, u2], { publication: 2 });
    expect((await server.nextMessage("ack")).publication).toBe(2n);
    expect(server.streams).toHaveLength(1);
  });

  it("ends a stream on which a message has more entities than there may be, before any is made", async () => {
    const server = await startServer();
    const { stateWhere } = startClient([server.address], { entityMaxCount: 2 });
    await server.nextMessage("hello");
    const entities = Array.from({ length: 5 }, () => ({}));
    server.send({ case: "snapshotChunk", value: { publication: 9n, entities } });
    expect(await stateWhere(({ connection }) => connection === "waiting")).toMatchObject({
      problem: expect.stringContaining("a message has more than 4 entities"),
    });
  });

  it("ends a stream on which it is asked on and on, and nothing of its answers is read", async () => {
    const server = await startServer();
    const { stateWhere } = startClient([server.address], { answerQuery: async () => new Uint8Array(786_432) });
    await server.nextMessage("hello");
    server.streams[0]!.stopReading();
    for (let id = 0n; id < 200n; id++) server.send({ case: "query", value: { id, kind: "explain" } });
    expect(await stateWhere(({ connection }) => connection === "waiting")).toMatchObject({
      problem: "the control plane reads nothing",
    });
  });
});

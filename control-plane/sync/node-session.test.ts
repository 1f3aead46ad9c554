import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { ConnectRequestSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { all, keepingUp, startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";

type Said = MessageInitShape<typeof ConnectRequestSchema>["message"];

/** A message that is as long as one may be, by what nobody knows. */
function padded(message: Said): Buffer {
  const padding = new BinaryWriter().tag(1_000, WireType.LengthDelimited).bytes(new Uint8Array(1_000_000)).finish();
  return Buffer.concat([toBinary(ConnectRequestSchema, create(ConnectRequestSchema, { message })), padding]);
}

describe("NodeSession", () => {
  it("sends a change after a quiet time at once and those that follow together", async () => {
    const { store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    store.putUpstream("u1");
    expect((await node.ackNextSnapshot()).begin.publication).toBe(1n);
    for (const name of ["u2", "u3", "u4"]) store.putUpstream(name);
    clock.advance(49);
    expect(node.unreadCount("snapshotBegin")).toBe(0);
    clock.advance(1);
    expect((await node.ackNextSnapshot()).begin).toMatchObject({ publication: 4n, entityCount: 4n });
  });

  it("keeps one push un-acked at most, and then sends the newest", async () => {
    const { store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    store.putUpstream("u1");
    const first = await node.nextSnapshot();
    for (const name of ["u2", "u3", "u4"]) {
      store.putUpstream(name);
      clock.advance(300);
    }
    expect(node.unreadCount("snapshotBegin")).toBe(0);
    node.ack(first.begin);
    expect((await node.nextSnapshot()).begin.publication).toBe(4n);
  });

  it("does not let a node that reads nothing delay another", async () => {
    const { hub, store, clock, connect, connectServing } = await startHub({ senderMaxCount: 1, stallMs: 100 });
    const healthy = await connectServing("healthy");
    for (let i = 0; i < 60; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(200_000)] });
    clock.advance(300);
    await healthy.ackNextSnapshot();
    const stalled = connect();
    stalled.pause();
    stalled.hello("stalled");
    await until(hub, (fleet) => fleet.nodes().length === 2);
    await turnsOfTheLoop();
    // The stalled node holds the only slot until the stall is noticed.
    clock.advance(1_000);
    const revision = store.putUpstream("last");
    const applied = hub.fleet.waitForRevision(revision, keepingUp);
    expect((await healthy.ackNextSnapshot()).begin.revision).toBe(BigInt(revision));
    expect(await applied).toEqual({ appliedCount: 1, nodeCount: 2 });
  });

  it("sends whole snapshots to no more nodes at a time than it says, and goes on when one of them is gone", async () => {
    const { hub, store, connect } = await startHub({ senderMaxCount: 1, stallMs: 1e9 });
    for (let i = 0; i < 60; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(200_000)] });
    const first = connect();
    first.pause();
    first.hello("first");
    await until(hub, (fleet) => fleet.nodes().length === 1);
    await turnsOfTheLoop();
    const second = connect();
    second.hello("second");
    await second.next("heartbeat");
    await turnsOfTheLoop();
    expect(second.unreadCount("snapshotBegin")).toBe(0);
    first.close();
    expect((await second.nextSnapshot()).entities).toHaveLength(60);
  });

  it("sends nothing to a node that serves the newest by the time that its turn comes", async () => {
    const { hub, store, clock, connect, connectServing } = await startHub({ senderMaxCount: 1, stallMs: 1e9 });
    const node = await connectServing("n1");
    for (let i = 0; i < 60; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(200_000)] });
    clock.advance(300);
    await node.ackNextSnapshot();
    // It takes the only slot and keeps it.
    const first = connect();
    first.pause();
    first.hello("first");
    await until(hub, (fleet) => fleet.nodes().length === 2);
    await turnsOfTheLoop();
    store.putUpstream("last");
    clock.advance(1_000);
    await turnsOfTheLoop();
    store.remove("upstream", "last");
    clock.advance(1_000);
    await turnsOfTheLoop();
    first.close();
    await until(hub, (fleet) => fleet.nodes().some(({ id, state }) => id === "n1" && state === "in_sync"));
    await turnsOfTheLoop();
    expect(node.unreadCount("snapshotBegin")).toBe(0);
  });

  it("sends again what was refused as older than what the node was applying, when it could not apply that", async () => {
    const { hub, store, clock, connect } = await startHub();
    store.putUpstream("u1");
    const node = connect();
    // It serves nothing, and applies publication 3, which a control plane that is ahead of this one has pushed.
    node.hello("n1");
    const first = await node.nextSnapshot();
    const { publication } = first.begin;
    node.send({ case: "nack", value: { publication, reason: "stale_publication", message: "3 is being applied" } });
    await until(hub, (fleet) => fleet.nodes()[0]?.lastNack?.reason === "stale_publication");
    clock.advance(1_000);
    await turnsOfTheLoop();
    expect(node.unreadCount("snapshotBegin")).toBe(0);
    node.send({ case: "nack", value: { publication: 3n, reason: "worker_failed", message: "no answer" } });
    expect((await node.ackNextSnapshot()).begin.publication).toBe(publication);
  });

  it("records a nack and tries the next publication only", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    const { begin } = await node.nextSnapshot();
    const refusal = {
      entityKind: "upstream",
      entityId: "u1",
      field: "name",
      message: "bad name",
      reason: "invalid_entity",
    };
    node.send({ case: "nack", value: { publication: begin.publication, keptPublication: 0n, ...refusal } });
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect(hub.fleet.nodes()[0]).toMatchObject({ publication: 0, lag: 1, lastNack: { publication: 1, ...refusal } });
    clock.advance(1_000);
    const next = store.putUpstream("u1");
    expect((await node.ackNextSnapshot()).begin.publication).toBe(2n);
    expect(await hub.fleet.waitForRevision(next, all)).toEqual({ appliedCount: 1, nodeCount: 1 });
  });

  it("sends a snapshot once more when the node arrived at another hash, then reports it", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    for (let i = 0; i < 2; i++) {
      const { begin } = await node.nextSnapshot();
      node.ack({ publication: begin.publication, stateHash: Buffer.alloc(32) });
    }
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect(hub.fleet.nodes()[0]).toMatchObject({
      publication: 0,
      lastNack: { publication: 1, reason: "hash_mismatch" },
    });
    expect(node.unreadCount("snapshotBegin")).toBe(0);
  });

  const epochOf = (counter: number, byte: number) => ({ counter: BigInt(counter), id: Buffer.alloc(16, byte) });
  it.each([
    { reason: "foreign_store", epoch: epochOf(5, 2), publication: 1n },
    { reason: "newer_epoch", epoch: epochOf(6, 1), publication: 1n },
    { reason: "ahead", epoch: epochOf(5, 1), publication: 900n },
    { reason: "diverged", epoch: epochOf(5, 1), publication: 3n },
  ])("pushes nothing to a node that is $reason and reports it", async ({ reason, epoch, publication }) => {
    const { hub, store, clock, connect } = await startHub({ store: new FakeSyncStore({ revision: 3 }) });
    const node = connect();
    node.hello("n1", {
      epoch: { $typeName: "penstock.sync.v1.Epoch", ...epoch },
      publication,
      stateHash: Buffer.alloc(32, 9),
    });
    await until(hub, (fleet) => fleet.nodes()[0]?.lastNack?.reason === reason);
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 0, nodeCount: 1 });
    // From which the node knows why, too.
    const told = (await node.next("heartbeat")).value.epoch!;
    expect([Number(told.counter), Buffer.from(told.id)]).toEqual([store.epoch.counter, store.epoch.id]);
    expect(node.unreadCount("snapshotBegin")).toBe(0);
  });

  it("pushes to a node of an earlier epoch, whatever its number", async () => {
    const { connect, store } = await startHub({ store: new FakeSyncStore({ revision: 3 }) });
    store.putUpstream("u1");
    const node = connect();
    const epoch = { $typeName: "penstock.sync.v1.Epoch", ...epochOf(4, 9) } as const;
    node.hello("n1", { epoch, publication: 900n, stateHash: Buffer.alloc(32, 9) });
    expect((await node.nextSnapshot()).begin.publication).toBe(4n);
  });

  it("keeps no message for the sake of the few bytes of it that are kept", async () => {
    const { hub, connect } = await startHub({ store: new FakeSyncStore({ revision: 3 }) });
    const memoryOf = () => {
      const { stateHash, epoch } = hub.fleet.nodes()[0]!;
      return [stateHash.buffer.byteLength, epoch?.id.buffer.byteLength];
    };
    const node = connect();
    const holding = { epoch: epochOf(1, 9), publication: 900n, stateHash: Buffer.alloc(32, 9) };
    node.sendBytes(padded({ case: "hello", value: { nodeId: "n1", have: holding } }));
    await until(hub, (fleet) => fleet.nodes()[0]?.publication === 900);
    expect(memoryOf()).toEqual([32, 16]);
    await node.ackNextSnapshot();
    await until(hub, (fleet) => fleet.nodes()[0]?.publication !== 900);
    node.sendBytes(padded({ case: "heartbeat", value: { ...holding, publication: 901n } }));
    await until(hub, (fleet) => fleet.nodes()[0]?.publication === 901);
    expect(memoryOf()).toEqual([32, 16]);
  });

  it("goes on telling a node that it is there, whatever number the node says that it serves", async () => {
    const { hub, clock, store, connectServing } = await startHub();
    store.putUpstream("u1");
    const node = await connectServing("n1");
    const { stateHash } = hub.fleet.nodes()[0]!;
    const epoch = { counter: BigInt(store.epoch.counter), id: store.epoch.id };
    node.send({ case: "heartbeat", value: { publication: 2n ** 63n - 1n, stateHash, epoch } });
    await until(hub, (fleet) => fleet.nodes()[0]!.publication > 1);
    for (let i = node.unreadCount("heartbeat"); i > 0; i--) await node.next("heartbeat");
    clock.advance(12_000);
    expect((await node.next("heartbeat")).value.publication).toBe(BigInt(Number.MAX_SAFE_INTEGER));
  });
});

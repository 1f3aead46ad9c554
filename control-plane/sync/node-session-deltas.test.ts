import { describe, expect, it } from "vitest";
import type { Delta, SnapshotBegin } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import type { ScriptedNode } from "../../test/support/scripted-node.ts";
import { startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";
import type { SyncHubOptions } from "./sync-hub.ts";

const takesDeltas = ["config.v1", "delta.v1"];

/** A hub over so many upstreams. */
async function startLargeHub(options: Partial<SyncHubOptions> = {}, upstreamCount = 50) {
  const store = new FakeSyncStore();
  for (let i = 0; i < upstreamCount; i++) store.putUpstream(`u${i}`);
  const rig = await startHub({ ...options, store });
  /** A node that takes deltas and serves the newest. */
  const connectServing = async (nodeId: string, have?: SnapshotBegin) => {
    const node = rig.connect();
    node.hello(nodeId, have, takesDeltas);
    const { begin } = await node.ackNextSnapshot();
    await until(rig.hub, (fleet) => fleet.nodes().some(({ id, publication }) => id === nodeId && publication > 0));
    rig.clock.advance(1_000);
    return { node, begin };
  };
  return { ...rig, store, connectServing };
}

async function nextDelta(node: ScriptedNode): Promise<Delta> {
  return (await node.next("delta")).value;
}

describe("NodeSession, of deltas", () => {
  it("sends what changed since the publication that the node acked last", async () => {
    const { store, clock, connectServing } = await startLargeHub();
    const { node } = await connectServing("n1");
    store.putUpstream("u7", { tags: ["changed"] });
    const first = await nextDelta(node);
    expect(first).toMatchObject({ basePublication: 50n, publication: 51n, revision: 51n, epoch: { counter: 5n } });
    store.putUpstream("new");
    store.remove("upstream", "u8");
    clock.advance(1_000);
    // Nothing while one is unanswered; then all that came meanwhile.
    await turnsOfTheLoop();
    expect(node.unreadCount("delta")).toBe(0);
    node.ack(first);
    const second = await nextDelta(node);
    expect(second).toMatchObject({ basePublication: 51n, publication: 53n });
    expect(second.upserts.map(({ id }) => id)).toEqual(["new"]);
    expect(second.deletes.map(({ id }) => id)).toEqual(["u8"]);
    expect(node.unreadCount("snapshotBegin")).toBe(0);
  });

  it("sends the whole to a node that does not say that it takes deltas, and where that is hardly more", async () => {
    const { store, connect, clock, connectServing } = await startLargeHub();
    const old = connect();
    old.hello("old");
    await old.ackNextSnapshot();
    const { node } = await connectServing("n1");
    store.putUpstream("u7", { tags: ["changed"] });
    expect((await old.ackNextSnapshot()).begin.publication).toBe(51n);
    node.ack(await nextDelta(node));
    for (let i = 0; i < 20; i++) store.putUpstream(`u${i}`, { tags: ["again"] });
    clock.advance(1_000);
    expect((await node.ackNextSnapshot()).begin.publication).toBe(71n);
  });

  it("begins from what was published while there was no node", async () => {
    const { store, clock, connectServing } = await startLargeHub();
    const other = await startHub({ store });
    const { node } = await connectServing("n1");
    store.putUpstream("u7", { tags: ["changed"] });
    const { epoch, publication, stateHash } = await nextDelta(node);
    // Whatever waits to be published.
    for (const each of [clock, other.clock]) each.advance(1_000);
    store.putUpstream("u8", { tags: ["changed"] });
    const moved = other.connect();
    moved.hello("n1", { epoch, publication, stateHash } as SnapshotBegin, takesDeltas);
    expect(await nextDelta(moved)).toMatchObject({ basePublication: 51n, publication: 52n });
  });

  it("begins from what a node says it holds when it comes again, if that is not long ago", async () => {
    const { hub, store, clock, connect, connectServing } = await startLargeHub({ recentMaxCount: 3 });
    const { node, begin } = await connectServing("n1");
    node.close();
    await until(hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    store.putUpstream("u7", { tags: ["changed"] });
    const again = connect();
    again.hello("n1", begin, takesDeltas);
    const delta = await nextDelta(again);
    expect(delta).toMatchObject({ basePublication: 50n, publication: 51n });
    again.ack(delta);
    for (let i = 0; i < 3; i++) {
      clock.advance(1_000);
      store.putUpstream(`u${i}`, { tags: ["changed"] });
      again.ack(await nextDelta(again));
    }
    await until(hub, (fleet) => fleet.nodes()[0]?.publication === 54);
    const late = connect();
    late.hello("late", begin, takesDeltas);
    expect((await late.nextSnapshot()).begin.publication).toBe(54n);
  });

  it("does not trust a hash that is not the publication's", async () => {
    const { connect } = await startLargeHub();
    const node = connect();
    const epoch = { $typeName: "penstock.sync.v1.Epoch", counter: 5n, id: Buffer.alloc(16, 1) } as const;
    node.hello("n1", { epoch, publication: 49n, stateHash: Buffer.alloc(32, 9) }, takesDeltas);
    expect((await node.nextSnapshot()).begin.publication).toBe(50n);
  });

  it.each(["unknown_base", "hash_mismatch", "invalid_delta"])(
    "sends the whole once after a delta that was refused with %s, and deltas again after that",
    async (reason) => {
      const { hub, store, clock, connectServing } = await startLargeHub();
      const { node } = await connectServing("n1");
      store.putUpstream("u7", { tags: ["changed"] });
      const { publication } = await nextDelta(node);
      node.send({ case: "nack", value: { publication, keptPublication: 50n, reason } });
      const whole = await node.nextSnapshot();
      expect(whole.begin.publication).toBe(51n);
      expect(hub.fleet.nodes()[0]?.lastNack).toMatchObject({ publication: 51, reason });
      node.ack(whole.begin);
      await until(hub, (fleet) => fleet.nodes()[0]?.publication === 51);
      clock.advance(1_000);
      store.putUpstream("u8", { tags: ["changed"] });
      expect(await nextDelta(node)).toMatchObject({ basePublication: 51n, publication: 52n });
      expect(node.unreadCount("snapshotBegin")).toBe(0);
    },
  );

  it("sends neither again where the whole is refused as well", async () => {
    const { hub, store, connectServing } = await startLargeHub();
    const { node } = await connectServing("n1");
    store.putUpstream("u7", { tags: ["changed"] });
    const { publication } = await nextDelta(node);
    const nack = { publication, keptPublication: 50n, reason: "hash_mismatch" };
    node.send({ case: "nack", value: nack });
    await node.nextSnapshot();
    node.send({ case: "nack", value: { ...nack, message: "again" } });
    await until(hub, (fleet) => fleet.nodes()[0]?.lastNack?.message === "again");
    await turnsOfTheLoop();
    expect([node.unreadCount("delta"), node.unreadCount("snapshotBegin")]).toEqual([0, 0]);
  });

  it("sends deltas while those who are sent the whole take every turn there is", async () => {
    const { store, connect, clock, connectServing } = await startLargeHub({ senderMaxCount: 1, stallMs: 1e9 });
    for (let i = 0; i < 60; i++) store.putUpstream(`large${i}`, { tags: ["x".repeat(200_000)] });
    const { node } = await connectServing("n1");
    const stalled = connect();
    stalled.pause();
    stalled.hello("stalled");
    await turnsOfTheLoop();
    for (const tag of ["x", "y".repeat(100_000)]) {
      store.putUpstream("u1", { tags: [tag] });
      clock.advance(1_000);
      const delta = await nextDelta(node);
      expect(delta.upserts).toHaveLength(1);
      node.ack(delta);
    }
  });

  it("sends the whole instead of a large delta to a node that has just come, and deltas once it has answered", async () => {
    const { store, clock, connect, connectServing } = await startLargeHub();
    for (let i = 0; i < 60; i++) store.putUpstream(`large${i}`, { tags: ["x".repeat(30_000)] });
    const { node, begin } = await connectServing("n1");
    const change = (tag: string) => {
      store.putUpstream("u1", { tags: [tag.repeat(150_000)] });
      clock.advance(1_000);
    };
    change("a");
    const delta = await nextDelta(node);
    expect(delta.upserts).toHaveLength(1);
    const back = connect();
    back.hello("n2", begin, takesDeltas);
    const whole = await back.nextSnapshot();
    expect(whole.begin.publication).toBe(delta.publication);
    back.ack(whole.begin);
    change("b");
    expect(await nextDelta(back)).toMatchObject({ basePublication: delta.publication });
  });

  it("lets so many nodes in, tells the others when to come again, and has room for them then", async () => {
    const { clock, hub, connect } = await startHub({ helloMaxPerSecond: 2 });
    const nodes = ["a", "b", "c", "d"].map((id) => {
      const node = connect();
      node.hello(id);
      return node;
    });
    const ends = await Promise.all(nodes.slice(2).map((node) => node.ended));
    expect(ends.map(({ code }) => code)).toEqual([8, 8]);
    expect(ends.map(({ retryAfterMs }) => retryAfterMs).sort()).toEqual([500, 1_000].sort());
    clock.advance(1_000);
    for (const id of ["c", "d"]) connect().hello(id);
    await until(hub, (fleet) => fleet.nodes().length === 4);
  });
});

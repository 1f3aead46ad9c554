import { status } from "@grpc/grpc-js";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ScriptedNode } from "../../test/support/scripted-node.ts";
import { type SyncHub, type SyncHubOptions, startSyncHub } from "./sync-hub.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startHub(options: Partial<SyncHubOptions> & { store?: FakeSyncStore } = {}) {
  const store = options.store ?? new FakeSyncStore();
  const clock = new ManualClock();
  const log = pino({ level: "silent" });
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const hub = await startSyncHub({ listen, log, clock, closeGraceMs: 50, ...options, store });
  cleanups.push(() => hub.close());
  const address = `127.0.0.1:${hub.addresses[0]!.port}`;
  const connect = () => {
    const node = new ScriptedNode(address);
    cleanups.push(() => node.close());
    return node;
  };
  /** A node that holds what the hub has. */
  const connectServing = async (nodeId: string) => {
    const node = connect();
    node.hello(nodeId);
    const { begin } = await node.ackNextSnapshot();
    await until(hub, (fleet) =>
      fleet.nodes().some(({ id, publication }) => id === nodeId && publication === Number(begin.publication)),
    );
    return node;
  };
  return { hub, fleet: hub.fleet, store, clock, connect, connectServing };
}

/** Resolves when the fleet has come to a state; every change of it comes through the event loop. */
async function until(hub: SyncHub, isSo: (fleet: SyncHub["fleet"]) => boolean): Promise<void> {
  const giveUpAtMs = Date.now() + 20_000;
  while (!isSo(hub.fleet)) {
    if (Date.now() > giveUpAtMs) throw new Error(`the fleet never came to it: ${JSON.stringify(hub.fleet.nodes())}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const keepingUp = { who: "keeping-up", timeoutMs: 5_000 } as const;
const all = { who: "all", timeoutMs: 5_000 } as const;

describe("startSyncHub", () => {
  it("sends a node without anything the whole state, and says it is up to date when it comes again", async () => {
    const { hub, store, connect } = await startHub();
    store.putUpstream("u1");
    store.putUpstream("u2");
    const node = connect();
    node.hello("n1");
    const { begin, entities } = await node.ackNextSnapshot();
    expect(entities.map(({ kind, id }) => `${kind}/${id}`)).toEqual(["upstream/u1", "upstream/u2"]);
    expect(begin).toMatchObject({ publication: 2n, revision: 2n, entityCount: 2n, stateHash: stateHashOf(entities) });
    await until(hub, (fleet) => fleet.nodes()[0]?.publication === 2);

    node.close();
    await until(hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    const again = connect();
    again.hello("n1", begin);
    expect((await again.next("upToDate")).value).toMatchObject({ publication: 2n, stateHash: begin.stateHash });
    expect(hub.fleet.nodes()).toMatchObject([
      { id: "n1", hostname: "host-of-n1", isConnected: true, publication: 2, revision: 2, lag: 0, workerCount: 2 },
    ]);
    expect(again.unreadCount("snapshotBegin")).toBe(0);
  });

  it("sends the empty state of a new store too", async () => {
    const { connect } = await startHub();
    const node = connect();
    node.hello("n1");
    expect((await node.nextSnapshot()).begin).toMatchObject({ publication: 0n, entityCount: 0n });
  });

  it("cuts a large state into chunks of at most 256 KiB and shares nothing but whole entities", async () => {
    const { connect, store } = await startHub();
    for (let i = 0; i < 40; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(30_000)] });
    store.putUpstream("large", { tags: ["y".repeat(400_000)] });
    const node = connect();
    node.hello("n1");
    const { begin, entities, chunkCount } = await node.nextSnapshot();
    expect(entities).toHaveLength(41);
    expect(stateHashOf(entities)).toEqual(begin.stateHash);
    expect(chunkCount).toBeGreaterThanOrEqual(6);
  });

  it.each([
    { name: "another message first", send: (node: ScriptedNode) => node.send({ case: "heartbeat", value: {} }) },
    { name: "an empty node id", send: (node: ScriptedNode) => node.hello("") },
    {
      name: "a held publication without a hash",
      send: (node: ScriptedNode) => node.hello("n1", { publication: 3n, stateHash: Buffer.alloc(5) }),
    },
    {
      name: "a second hello",
      send: (node: ScriptedNode) => {
        node.hello("n1");
        node.hello("n1");
      },
    },
  ])("ends a stream that begins with $name", async ({ send }) => {
    const { connect } = await startHub();
    const node = connect();
    send(node);
    expect((await node.ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it("ends a stream that says nothing", async () => {
    const { clock, connect, hub } = await startHub();
    const node = connect();
    const beat = connect();
    beat.hello("n1");
    await until(hub, (fleet) => fleet.nodes().length === 1);
    await node.answered;
    clock.advance(10_000);
    expect((await node.ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it("replaces the older stream of a node by the newer one", async () => {
    const { hub, clock, connect, connectServing, store } = await startHub();
    const older = await connectServing("n1");
    const newer = connect();
    newer.hello("n1");
    expect((await older.ended).code).toBe(status.ABORTED);
    await newer.ackNextSnapshot();
    expect(hub.fleet.nodes()).toMatchObject([{ id: "n1", isConnected: true }]);
    const revision = store.putUpstream("u1");
    clock.advance(50);
    await newer.ackNextSnapshot();
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 1, nodeCount: 1 });
  });

  it("beats like a heart, with jitter", async () => {
    const { clock, connectServing } = await startHub({ random: () => 0.5 });
    const node = await connectServing("n1");
    expect((await node.next("heartbeat")).value).toMatchObject({ publication: 0n });
    clock.advance(10_000);
    expect((await node.next("heartbeat")).value).toMatchObject({ publication: 0n });
  });

  it("refuses a port that is taken", async () => {
    const { hub } = await startHub();
    const { port } = hub.addresses[0]!;
    await expect(startHub({ listen: [{ host: "127.0.0.1", port }] })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("holds back a state with a dangling reference and publishes the next whole one", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    store.put({ kind: "target", id: "t1", body: Buffer.from("x"), message: { upstream: { id: "gone" } } as never });
    clock.advance(1_000);
    const revision = store.remove("target", "t1");
    expect((await node.ackNextSnapshot()).begin).toMatchObject({ publication: 2n, entityCount: 0n });
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 1, nodeCount: 1 });
  });
});

describe("pushes of the sync hub", () => {
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
    await node.next("heartbeat");
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
});

describe("waitForRevision", () => {
  it("resolves at once without nodes", async () => {
    const { hub, store } = await startHub();
    const revision = store.putUpstream("u1");
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 0, nodeCount: 0 });
  });

  it("waits for a node that never acks 1 s, then not again until it has caught up", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const healthy = await connectServing("healthy");
    const stopped = await connectServing("stopped");
    clock.advance(1_000);

    const first = store.putUpstream("u1");
    const waited = hub.fleet.waitForRevision(first, keepingUp);
    await healthy.ackNextSnapshot();
    const missedPush = await stopped.nextSnapshot();
    await until(hub, (fleet) => fleet.nodes()[0]?.revision === first);
    expect(await isSettled(waited)).toBe(false);
    clock.advance(1_000);
    expect(await waited).toEqual({ appliedCount: 1, nodeCount: 2 });

    const second = store.putUpstream("u2");
    const unwaited = hub.fleet.waitForRevision(second, keepingUp);
    await healthy.ackNextSnapshot();
    expect(await unwaited).toEqual({ appliedCount: 1, nodeCount: 2 });

    stopped.ack(missedPush.begin);
    await stopped.ackNextSnapshot();
    await until(hub, (fleet) => fleet.nodes()[1]?.revision === second);
    clock.advance(1_000);
    const third = store.putUpstream("u3");
    const waitedAgain = hub.fleet.waitForRevision(third, keepingUp);
    await healthy.ackNextSnapshot();
    await stopped.ackNextSnapshot();
    expect(await waitedAgain).toEqual({ appliedCount: 2, nodeCount: 2 });
  });

  it("waits for every open stream when asked for all, up to the timeout", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const healthy = await connectServing("healthy");
    const stopped = await connectServing("stopped");
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    const waited = hub.fleet.waitForRevision(revision, { who: "all", timeoutMs: 30_000 });
    await healthy.ackNextSnapshot();
    await stopped.nextSnapshot();
    clock.advance(29_999);
    expect(await isSettled(waited)).toBe(false);
    clock.advance(1);
    expect(await waited).toEqual({ appliedCount: 1, nodeCount: 2 });
  });

  it("stops waiting for a node whose stream ends", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const waited = hub.fleet.waitForRevision(store.putUpstream("u1"), all);
    node.close();
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 0 });
  });

  it("answers everybody when the hub closes", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const waited = hub.fleet.waitForRevision(store.putUpstream("u1"), all);
    await hub.close();
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect((await node.ended).code).toBe(status.UNAVAILABLE);
  });
});

/** Enough turns of the event loop for anything that is under way on loopback. */
async function turnsOfTheLoop(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let isSo = false;
  void promise.then(() => {
    isSo = true;
  });
  await turnsOfTheLoop();
  return isSo;
}

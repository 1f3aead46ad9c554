import net from "node:net";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import type { ScriptedNode } from "../../test/support/scripted-node.ts";
import { all, startHub, until } from "../../test/support/sync-hub-rig.ts";

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

  it("cuts a large state into chunks of at most 64 KiB and shares nothing but whole entities", async () => {
    const { connect, store } = await startHub();
    for (let i = 0; i < 40; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(30_000)] });
    store.putUpstream("large", { tags: ["y".repeat(400_000)] });
    const node = connect();
    node.hello("n1");
    const { begin, entities, chunkCount } = await node.nextSnapshot();
    expect(entities).toHaveLength(41);
    expect(stateHashOf(entities)).toEqual(begin.stateHash);
    expect(chunkCount).toBeGreaterThanOrEqual(21);
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

  it("lives on whatever comes to its port", async () => {
    const { hub, connectServing } = await startHub({ messageMaxBytes: 1_000 });
    const { port } = hub.addresses[0]!;
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (const bytes of [
      "",
      "GET / HTTP/1.1\r\n\r\n",
      preface + "\xff".repeat(100),
      preface + "\0\0\x01\x04".repeat(9),
    ]) {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      await new Promise((resolve) => socket.write(Buffer.from(bytes, "latin1"), resolve));
      socket.resetAndDestroy();
    }
    const oversized = await connectServing("oversized");
    oversized.send({ case: "queryResult", value: { body: Buffer.alloc(2_000) } });
    expect((await oversized.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    const undecodable = await connectServing("undecodable");
    undecodable.sendBytes(Buffer.from("ffffff", "hex"));
    expect((await undecodable.ended).code).toBe(status.INTERNAL);
    await connectServing("n1");
  });

  it("closes connections beyond its limit", async () => {
    const { hub, connect, connectServing } = await startHub({ connectionMaxCount: 1 });
    await connectServing("n1");
    const refused = connect();
    refused.hello("n2");
    expect((await refused.ended).code).toBe(status.UNAVAILABLE);
    expect(hub.fleet.nodes().map(({ id }) => id)).toEqual(["n1"]);
  });

  it("remembers nodes that are away, up to a limit", async () => {
    const { hub, connectServing } = await startHub({ nodeMaxCount: 2 });
    for (const id of ["a", "b", "c"]) {
      const node = await connectServing(id);
      if (id === "c") break;
      node.close();
      await until(hub, (fleet) => fleet.nodes().every(({ isConnected }) => !isConnected));
    }
    expect(hub.fleet.nodes()).toMatchObject([
      { id: "b", isConnected: false },
      { id: "c", isConnected: true },
    ]);
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

  it("leaves no timer behind when it closes with nodes connected", async () => {
    const { hub, clock, connectServing } = await startHub();
    await connectServing("n1");
    await connectServing("n2");
    await hub.close();
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("tells nodes why their streams end when it closes", async () => {
    const { hub, connectServing } = await startHub({ closeGraceMs: 10_000 });
    const nodes = [await connectServing("n1"), await connectServing("n2")];
    await hub.close();
    for (const node of nodes)
      expect(await node.ended).toMatchObject({ code: 14, details: "the control plane is closing" });
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
    const removed = store.remove("target", "t1");
    // What the node holds is whole again, so there is nothing to send.
    clock.advance(1_000);
    expect(await hub.fleet.waitForRevision(removed, all)).toEqual({ appliedCount: 1, nodeCount: 1 });
    const revision = store.putUpstream("u1");
    clock.advance(1_000);
    expect((await node.ackNextSnapshot()).begin).toMatchObject({ publication: 3n, entityCount: 1n });
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 1, nodeCount: 1 });
  });
});

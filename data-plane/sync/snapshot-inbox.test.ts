import { describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { entity, scriptedEpoch } from "../../test/support/scripted-sync-server.ts";
import { startClient, startServer, u1, u2 } from "../../test/support/sync-client-rig.ts";
import type { Holding } from "./judge-offer.ts";

const noEntity = { entityKind: "", entityId: "", entityName: "", field: "" };

describe("SnapshotInbox", () => {
  it("applies a snapshot of many chunks and a single entity beyond a chunk", async () => {
    const server = await startServer();
    const { applied } = startClient([server.address]);
    await server.nextMessage("hello");
    const many = Array.from({ length: 30 }, (_, i) =>
      entity("upstream", { id: `u${i}`, name: `u${i}`, tags: ["x".repeat(30_000)] }),
    );
    const large = entity("upstream", { id: "large", name: "large", tags: ["y".repeat(600_000)] });
    server.sendSnapshot([...many, large], { publication: 1 });
    await server.nextMessage("ack");
    expect(applied[0]?.entities).toHaveLength(31);
  });

  it.each([
    { reason: "stale_publication", options: { publication: 2 } },
    { reason: "diverged", options: { publication: 3 } },
    { reason: "stale_epoch", options: { publication: 9, epoch: { counter: 0, id: scriptedEpoch.id } } },
    { reason: "foreign_store", options: { publication: 9, epoch: { counter: 1, id: Buffer.alloc(16, 8) } } },
    { reason: "hash_mismatch", options: { publication: 9, begin: { stateHash: Buffer.alloc(32) } } },
    { reason: "limit_exceeded", options: { publication: 9, begin: { entityCount: 5_000n } } },
    { reason: "limit_exceeded", options: { publication: 9, begin: { byteCount: 1n << 40n } } },
    { reason: "invalid_snapshot", options: { publication: 9, begin: { entityCount: 1n } } },
    { reason: "invalid_snapshot", options: { publication: 9, begin: { entityCount: 3n } } },
    { reason: "invalid_snapshot", options: { publication: 9, begin: { byteCount: 3n } } },
    { reason: "invalid_snapshot", options: { publication: 9, begin: { epoch: undefined } } },
    { reason: "invalid_snapshot", options: { publication: 9, begin: { revision: -1n } } },
  ])("refuses with $reason and goes on: $options", async ({ reason, options }) => {
    const server = await startServer();
    const { applied, client } = startClient([server.address], { entityMaxCount: 1_000 });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    server.sendSnapshot([u1, u2], options);
    expect(await server.nextMessage("nack")).toMatchObject({
      publication: BigInt(options.publication),
      keptPublication: 3n,
      reason,
    });
    expect(client.state.lastRefusal).toMatchObject({ reason, publication: options.publication });
    server.sendSnapshot([u2], { publication: 10 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 10n });
    expect(applied.map(({ publication }) => publication)).toEqual([3, 10]);
    expect(server.unreadCount("nack")).toBe(0);
  });

  it("names the entity that came twice", async () => {
    const server = await startServer();
    startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1, u2, u1], { publication: 1 });
    expect(await server.nextMessage("nack")).toMatchObject({
      reason: "duplicate_entity",
      entityKind: "upstream",
      entityId: "u1",
    });
  });

  it("passes a refusal on whole and keeps what it had", async () => {
    const server = await startServer();
    const refusal = {
      reason: "invalid_entity",
      entityKind: "route",
      entityId: "r1",
      entityName: "r",
      field: "paths[0]",
      message: "bad",
    };
    const { applied, serve } = startClient([server.address], {
      apply: async (snapshot) => (snapshot.publication === 2 ? { ok: false, refusal } : serve(snapshot)),
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    await server.nextMessage("ack");
    server.sendSnapshot([u2], { publication: 2 });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 2n, keptPublication: 1n, ...refusal });
    server.sendSnapshot([u1, u2], { publication: 3 });
    await server.nextMessage("ack");
    expect(applied.map(({ publication }) => publication)).toEqual([1, 3]);
  });

  it("turns a failing apply into a nack", async () => {
    const server = await startServer();
    startClient([server.address], { apply: () => Promise.reject(new Error("no memory")) });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    expect(await server.nextMessage("nack")).toMatchObject({
      reason: "apply_failed",
      message: expect.stringContaining("no memory"),
    });
  });

  it("applies one at a time, and of those that came meanwhile the newest", async () => {
    const server = await startServer();
    const begun: { publication: number; finish: () => void }[] = [];
    const { applied, serve } = startClient([server.address], {
      apply: (snapshot) =>
        new Promise((resolve) =>
          begun.push({ publication: snapshot.publication, finish: () => resolve(serve(snapshot)) }),
        ),
    });
    await server.nextMessage("hello");
    for (const publication of [1, 2, 3])
      server.sendSnapshot([u1], { publication, begin: { stateHash: stateHashOf([u1]) } });
    server.sendSnapshot([u1, u2], { publication: 4 });
    // What is older than one that waits is refused: by then all before it has been read.
    server.sendSnapshot([u2], { publication: 3 });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 3n, reason: "stale_publication" });
    expect(begun.map(({ publication }) => publication)).toEqual([1]);
    begun[0]!.finish();
    await server.nextMessage("ack");
    begun[1]!.finish();
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 4n });
    expect(applied.map(({ publication }) => publication)).toEqual([1, 4]);
  });

  it.each([
    { end: "acks", outcome: { ok: true } as const },
    {
      end: "nacks",
      outcome: { ok: false, refusal: { ...noEntity, reason: "worker_failed", message: "lost" } } as const,
    },
  ])(
    "$end an offer, too, that came with the content that was being applied under a later number",
    async ({ end, outcome }) => {
      const server = await startServer();
      let finish = () => {};
      const { serve } = startClient([server.address], {
        apply: (snapshot) =>
          new Promise((resolve) => {
            finish = () => resolve(outcome.ok ? serve(snapshot) : outcome);
          }),
      });
      await server.nextMessage("hello");
      server.sendSnapshot([u1], { publication: 5 });
      server.sendSnapshot([u1], { publication: 4 });
      server.send({ case: "delta", value: { publication: 9n } });
      await server.nextMessage("nack");
      finish();
      const kind = end === "acks" ? "ack" : "nack";
      expect(await server.nextMessage(kind)).toMatchObject({ publication: 5n });
      expect(await server.nextMessage(kind)).toMatchObject({ publication: 4n });
    },
  );

  it("owes a new stream no answer for what an old one offered", async () => {
    const server = await startServer();
    let finish = () => {};
    const { clock, serve, stateWhere } = startClient([server.address], {
      apply: (snapshot) =>
        new Promise((resolve) => {
          finish = () => resolve(serve(snapshot));
        }),
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 5 });
    server.sendSnapshot([u1], { publication: 4 });
    server.send({ case: "delta", value: { publication: 9n } });
    await server.nextMessage("nack");
    server.dropStreams();
    await stateWhere(({ connection }) => connection === "waiting");
    clock.advance(200);
    await server.nextMessage("hello");
    finish();
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 5n });
    server.send({ case: "delta", value: { publication: 9n } });
    await server.nextMessage("nack");
    expect(server.unreadCount("ack")).toBe(0);
  });

  it("does not go back from what came to be served while a snapshot was on its way", async () => {
    const server = await startServer();
    let held: Holding | null = null;
    const { applied } = startClient([server.address], { holding: () => held });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1, isEnded: false });
    server.send({ case: "delta", value: { publication: 9n } });
    await server.nextMessage("nack");
    held = { epoch: scriptedEpoch, publication: 5, stateHash: stateHashOf([u2]) };
    server.send({ case: "snapshotEnd", value: { publication: 1n } });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 1n, keptPublication: 5n });
    expect(applied).toEqual([]);
  });
});

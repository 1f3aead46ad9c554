import { pino } from "pino";
import { afterEach, describe, expect, it, vi } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import {
  entity,
  type ScriptedSyncServer,
  scriptedEpoch,
  startScriptedSyncServer,
} from "../../test/support/scripted-sync-server.ts";
import type { ApplyOutcome, ReceivedSnapshot } from "../snapshot/apply-snapshot.ts";
import type { Holding } from "./judge-offer.ts";
import { type SyncClientOptions, type SyncState, startSyncClient } from "./sync-client.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const u1 = entity("upstream", { id: "u1", name: "u1" });
const u2 = entity("upstream", { id: "u2", name: "u2" });

async function startServer(options?: Parameters<typeof startScriptedSyncServer>[0]): Promise<ScriptedSyncServer> {
  const server = await startScriptedSyncServer(options);
  cleanups.push(() => server.close());
  return server;
}

/** A client whose `apply` serves at once, or as the test says. */
function startClient(addresses: readonly string[], options: Partial<SyncClientOptions> = {}) {
  const clock = new ManualClock();
  const applied: ReceivedSnapshot[] = [];
  const states: SyncState[] = [];
  const waiting = new Set<{ isSo: (state: SyncState) => boolean; resolve: (state: SyncState) => void }>();
  let held: Holding | null = null;
  const serve = (snapshot: ReceivedSnapshot): ApplyOutcome => {
    held = snapshot;
    applied.push(snapshot);
    return { ok: true };
  };
  const client = startSyncClient({
    controlPlanes: addresses,
    hello: {
      nodeId: "n1",
      hostname: "h",
      build: "b",
      capabilities: ["config.v1"],
      labels: { zone: "a" },
      workerCount: 2,
    },
    holding: () => held,
    apply: async (snapshot) => serve(snapshot),
    log: pino({ level: "silent" }),
    clock,
    random: () => 0.5,
    onState: (state) => {
      states.push(state);
      for (const wait of waiting) if (wait.isSo(state)) wait.resolve(state);
    },
    ...options,
  });
  cleanups.push(() => client.close());
  const stateWhere = (isSo: (state: SyncState) => boolean): Promise<SyncState> =>
    isSo(client.state)
      ? Promise.resolve(client.state)
      : new Promise((resolve) => {
          waiting.add({ isSo, resolve });
        });
  return { client, clock, applied, states, serve, stateWhere };
}

describe("startSyncClient", () => {
  it("says who it is and that it holds nothing, applies what comes and acks it", async () => {
    const server = await startServer();
    const onApplied = vi.fn();
    const { applied } = startClient([server.address], { onApplied });
    const hello = await server.nextMessage("hello");
    expect(hello.have).toBeUndefined();
    expect(hello).toMatchObject({
      nodeId: "n1",
      hostname: "h",
      capabilities: ["config.v1"],
      labels: { zone: "a" },
      workerCount: 2,
    });
    server.sendSnapshot([u1, u2], { publication: 3, revision: 30, chunkMaxBytes: 1 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 3n, stateHash: stateHashOf([u1, u2]) });
    expect(applied).toEqual([
      {
        epoch: { counter: 1, id: new Uint8Array(scriptedEpoch.id) },
        publication: 3,
        revision: 30,
        stateHash: stateHashOf([u1, u2]),
        entities: [plain(u1), plain(u2)],
      },
    ]);
    expect(onApplied).toHaveBeenCalledExactlyOnceWith(applied[0]);
  });

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

  it("tells the next control plane what it holds, and acks a duplicate without work", async () => {
    const server = await startServer();
    const { applied, clock, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    server.dropStreams();
    await stateWhere(({ connection }) => connection === "waiting");
    clock.advance(200);
    expect((await server.nextMessage("hello")).have).toMatchObject({
      publication: 3n,
      stateHash: stateHashOf([u1]),
      epoch: { counter: 1n },
    });
    server.sendSnapshot([u1], { publication: 3 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 3n });
    server.sendSnapshot([u1], { publication: 2 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 2n });
    expect(applied).toHaveLength(1);
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

  it("acks on a new stream what it applied while the old one broke", async () => {
    const server = await startServer();
    let finish = () => {};
    const { clock, serve, stateWhere } = startClient([server.address], {
      apply: (snapshot) =>
        new Promise((resolve) => {
          finish = () => resolve(serve(snapshot));
        }),
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    server.send({ case: "delta", value: { publication: 2n } });
    await server.nextMessage("nack");
    server.dropStreams();
    await stateWhere(({ connection }) => connection === "waiting");
    clock.advance(200);
    expect((await server.nextMessage("hello")).have).toBeUndefined();
    server.sendSnapshot([u1], { publication: 1 });
    server.send({ case: "delta", value: { publication: 2n } });
    await server.nextMessage("nack");
    finish();
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 1n });
  });

  it("answers what it cannot do and leaves alone what it does not know", async () => {
    const server = await startServer();
    startClient([server.address]);
    await server.nextMessage("hello");
    server.send({ case: "drain", value: {} });
    server.send({ case: undefined });
    server.send({ case: "snapshotEnd", value: { publication: 3n } });
    server.send({ case: "snapshotChunk", value: { publication: 3n } });
    server.send({ case: "query", value: { id: 7n, kind: "explain" } });
    expect(await server.nextMessage("queryResult")).toMatchObject({ id: 7n, problem: expect.any(String) });
    server.send({ case: "delta", value: { publication: 4n } });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 4n, reason: "unsupported" });
    expect(server.streams).toHaveLength(1);
  });

  it("beats with what it serves", async () => {
    const server = await startServer();
    const { clock } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    clock.advance(10_000);
    expect(await server.nextMessage("heartbeat")).toMatchObject({ publication: 3n, stateHash: stateHashOf([u1]) });
  });

  it("leaves a control plane that fell silent, even though its connection lives", async () => {
    const server = await startServer({ heartbeatMs: 0 });
    const { clock, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    await stateWhere(({ connection }) => connection === "connected");
    clock.advance(15_000);
    const { problem } = await stateWhere(({ connection }) => connection === "waiting");
    expect(problem).toBe("the control plane fell silent");
    clock.advance(200);
    await server.nextMessage("hello");
  });

  it("tries the other control plane at once", async () => {
    const first = await startServer();
    const gone = await startScriptedSyncServer();
    await gone.close();
    // A random of 0.5 leaves two addresses in their order.
    const { clock, stateWhere } = startClient([gone.address, first.address]);
    await stateWhere(({ connection }) => connection === "waiting");
    expect(clock.nextDelayMs()).toBe(0);
    clock.advance(0);
    expect((await stateWhere(({ connection }) => connection === "connected")).controlPlane).toBe(first.address);
  });

  it("waits longer after each round of failures", async () => {
    const gone = await startScriptedSyncServer();
    await gone.close();
    const { client, clock, stateWhere } = startClient([gone.address]);
    const delays: (number | null)[] = [];
    for (let i = 0; i < 8; i++) {
      await stateWhere(({ connection }) => connection === "waiting");
      const delayMs = clock.nextDelayMs();
      delays.push(delayMs);
      clock.advance(delayMs ?? 0);
      expect(client.state.connection).toBe("connecting");
    }
    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  it("says when the control plane has less than the node, after more than one sign of it", async () => {
    const server = await startServer();
    const { client, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    server.send({ case: "heartbeat", value: { publication: 2n, stateHash: Buffer.alloc(32) } });
    await stateWhere(({ newestPublication }) => newestPublication === 2);
    expect(client.state.problem).toBeNull();
    server.send({ case: "heartbeat", value: { publication: 2n, stateHash: Buffer.alloc(32) } });
    expect((await stateWhere(({ problem }) => problem !== null)).problem).toContain("publication 2");
  });

  it("loses no more than the stream to a holder that throws, and nothing to a listener", async () => {
    const server = await startServer();
    let isBroken = false;
    const { clock, stateWhere } = startClient([server.address], {
      holding: () => {
        if (isBroken) throw new Error("broken holder");
        return null;
      },
      onApplied: () => {
        throw new Error("broken listener");
      },
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    await server.nextMessage("ack");
    isBroken = true;
    server.sendSnapshot([u1], { publication: 2 });
    await stateWhere(({ connection }) => connection === "waiting");
    isBroken = false;
    clock.advance(200);
    await server.nextMessage("hello");
  });

  it("is closed for good", async () => {
    const server = await startServer();
    const { client, clock, states } = startClient([server.address]);
    await server.nextMessage("hello");
    client.close();
    expect(client.state.connection).toBe("closed");
    expect(clock.nextDelayMs()).toBeNull();
    client.close();
    expect(states.filter(({ connection }) => connection === "closed")).toHaveLength(1);
  });
});

function plain({ kind, id, body }: { kind: string; id: string; body: Uint8Array }) {
  return { kind, id, body: new Uint8Array(body) };
}

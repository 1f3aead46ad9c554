import { describe, expect, it } from "vitest";
import { StateHash, stateHashOf } from "../../proto/state-hash.ts";
import { entity, type ScriptedDelta, scriptedEpoch } from "../../test/support/scripted-sync-server.ts";
import { startClient, startServer, u1, u2 } from "../../test/support/sync-client-rig.ts";
import type { ReceivedSnapshot } from "../snapshot/apply-snapshot.ts";
import { HeldContent } from "../snapshot/held-content.ts";

const u1Changed = entity("upstream", { id: "u1", name: "u1", tags: ["changed"] });
const u3 = entity("upstream", { id: "u3", name: "u3" });
const keyOf = ({ kind, id }: { kind: string; id: string }) => ({ kind, id });

/** From {u1, u2} to {u1 changed, u3}. */
const delta: ScriptedDelta = {
  basePublication: 3,
  publication: 5,
  upserts: [u1Changed, u3],
  deletes: [keyOf(u2)],
  stateHash: stateHashOf([u1Changed, u3]),
};

const idsOf = ({ entities }: ReceivedSnapshot) => entities.map(({ id }) => id);

/** A client that serves publication 3 with u1 and u2. */
async function startServing(options: Parameters<typeof startClient>[1] = {}) {
  const server = await startServer();
  const rig = startClient([server.address], options);
  await server.nextMessage("hello");
  server.sendSnapshot([u1, u2], { publication: 3 });
  await server.nextMessage("ack");
  return { server, ...rig };
}

describe("SnapshotInbox, of deltas", () => {
  it("makes the whole of what is served and what changed, and acks it with the hash of the whole", async () => {
    const { server, applied } = await startServing();
    server.sendDelta(delta);
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 5n, stateHash: delta.stateHash });
    expect(applied[1]).toMatchObject({ publication: 5, revision: 5, epoch: { counter: 1 } });
    expect(idsOf(applied[1]!)).toEqual(["u1", "u3"]);
    expect(applied[1]!.entities[0]!.body).toEqual(new Uint8Array(u1Changed.body));
    server.sendDelta({
      basePublication: 5,
      publication: 6,
      upserts: [u2],
      stateHash: stateHashOf([u1Changed, u2, u3]),
    });
    await server.nextMessage("ack");
    expect(idsOf(applied[2]!)).toEqual(["u1", "u2", "u3"]);
  });

  it.each([
    { reason: "unknown_base", changed: { basePublication: 2 } },
    { reason: "unknown_base", changed: { epoch: { counter: 2, id: scriptedEpoch.id } } },
    { reason: "hash_mismatch", changed: { stateHash: Buffer.alloc(32) } },
    { reason: "hash_mismatch", changed: { upserts: [u3] } },
    { reason: "invalid_delta", changed: { deletes: [keyOf(u2), { kind: "upstream", id: "nobody" }] } },
    { reason: "invalid_delta", changed: { deletes: [keyOf(u2), keyOf(u2)] } },
    { reason: "invalid_delta", changed: { upserts: [u1Changed, u3, u3] } },
    { reason: "invalid_delta", changed: { basePublication: 5 } },
    { reason: "invalid_delta", changed: { stateHash: Buffer.alloc(31) } },
    { reason: "invalid_delta", changed: { revision: -1 } },
    { reason: "limit_exceeded", changed: { upserts: [u1Changed, u3, entity("upstream", { id: "u4" })], deletes: [] } },
    { reason: "stale_publication", changed: { basePublication: 1, publication: 2 } },
    { reason: "stale_epoch", changed: { epoch: { counter: 0, id: scriptedEpoch.id } } },
    { reason: "foreign_store", changed: { epoch: { counter: 1, id: Buffer.alloc(16, 8) } } },
  ])("refuses with $reason and takes the whole that follows: $changed", async ({ reason, changed }) => {
    const { server, applied } = await startServing({ entityMaxCount: 3 });
    server.sendDelta({ ...delta, ...changed });
    expect(await server.nextMessage("nack")).toMatchObject({ keptPublication: 3n, reason });
    server.sendSnapshot([u1Changed, u3], { publication: 5 });
    await server.nextMessage("ack");
    server.sendDelta({ basePublication: 5, publication: 6, deletes: [keyOf(u3)], stateHash: stateHashOf([u1Changed]) });
    await server.nextMessage("ack");
    expect(applied.map(({ publication }) => publication)).toEqual([3, 5, 6]);
  });

  it("builds upon nothing that was refused", async () => {
    const refusal = {
      reason: "invalid_entity",
      entityKind: "",
      entityId: "",
      entityName: "",
      field: "",
      message: "bad",
    };
    let isRefusing = false;
    const applied: ReceivedSnapshot[] = [];
    const { server } = await startServing({
      holding: () => applied.at(-1) ?? null,
      apply: async (snapshot) => {
        if (isRefusing) return { ok: false, refusal };
        applied.push(snapshot);
        return { ok: true };
      },
    });
    isRefusing = true;
    server.sendDelta(delta);
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 5n, reason: "invalid_entity" });
    isRefusing = false;
    server.sendDelta({ ...delta, basePublication: 5, publication: 6 });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 6n, reason: "unknown_base" });
    server.sendDelta({ ...delta, publication: 6 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 6n });
    expect(idsOf(applied[1]!)).toEqual(["u1", "u3"]);
  });

  it("builds upon what is served while something else is being applied, and upon nothing that is not yet", async () => {
    const gates: (() => void)[] = [];
    let isGated = false;
    const applied: ReceivedSnapshot[] = [];
    const { server } = await startServing({
      holding: () => applied.at(-1) ?? null,
      apply: async (snapshot) => {
        if (isGated) await new Promise<void>((resolve) => gates.push(resolve));
        applied.push(snapshot);
        return { ok: true };
      },
    });
    isGated = true;
    server.sendDelta(delta);
    server.sendDelta({ basePublication: 5, publication: 6, deletes: [keyOf(u3)], stateHash: stateHashOf([u1Changed]) });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 6n, reason: "unknown_base" });
    server.sendDelta({ basePublication: 3, publication: 7, deletes: [keyOf(u1)], stateHash: stateHashOf([u2]) });
    // Sent again, it is answered once: when it is served.
    server.sendDelta({ basePublication: 3, publication: 7, deletes: [keyOf(u1)], stateHash: stateHashOf([u2]) });
    // What is older than one that waits is refused: by then all before it has been read.
    server.sendDelta({ ...delta, publication: 4 });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 4n, reason: "stale_publication" });
    isGated = false;
    gates[0]!();
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 5n });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 7n });
    expect(idsOf(applied[2]!)).toEqual(["u2"]);
    expect(server.unreadCount("ack")).toBe(0);
  });

  it("goes back with the node: to what a delta was built upon, and not to what a whole has replaced", async () => {
    let back: ReceivedSnapshot | null = null;
    const served: ReceivedSnapshot[] = [];
    const { server } = await startServing({
      holding: () => back ?? served.at(-1) ?? null,
      apply: async (snapshot) => {
        back = null;
        served.push(snapshot);
        return { ok: true };
      },
    });
    server.sendDelta(delta);
    await server.nextMessage("ack");
    back = served[0]!;
    server.sendDelta({ basePublication: 3, publication: 6, deletes: [keyOf(u1)], stateHash: stateHashOf([u2]) });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 6n });
    expect(idsOf(served[2]!)).toEqual(["u2"]);

    server.sendSnapshot([u1], { publication: 7 });
    await server.nextMessage("ack");
    back = served[2]!;
    server.sendDelta({ basePublication: 6, publication: 8, upserts: [u3], stateHash: stateHashOf([u2, u3]) });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 8n, reason: "unknown_base" });
  });

  it("takes a delta as its first message after a start from its own file", async () => {
    const hash = new StateHash();
    for (const one of [u1, u2]) hash.set(one);
    const content = HeldContent.of([u1, u2], hash);
    const restored: ReceivedSnapshot = {
      ...{ epoch: scriptedEpoch, publication: 3, revision: 3 },
      ...{ stateHash: content.stateHash(), entities: content.entities },
    };
    const served = [restored];
    const server = await startServer();
    startClient([server.address], {
      restored: { snapshot: restored, content },
      holding: () => served.at(-1)!,
      apply: async (snapshot) => {
        served.push(snapshot);
        return { ok: true };
      },
    });
    expect((await server.nextMessage("hello")).have).toMatchObject({ publication: 3n });
    server.sendDelta(delta);
    await server.nextMessage("ack");
    expect(idsOf(served[1]!)).toEqual(["u1", "u3"]);
  });
});

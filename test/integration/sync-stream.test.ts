import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { type SyncHub, startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import type { ApplyOutcome, ReceivedSnapshot, Refusal } from "../../data-plane/snapshot/apply-snapshot.ts";
import { startSyncClient } from "../../data-plane/sync/sync-client.ts";
import { SyncStream } from "../../data-plane/sync/sync-stream.ts";
import { FakeSyncStore } from "../support/fake-sync-store.ts";

const log = pino({ level: "silent" });
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startHub(store: FakeSyncStore, port = 0): Promise<SyncHub> {
  const hub = await startSyncHub({ store, listen: [{ host: "127.0.0.1", port }], log, closeGraceMs: 100 });
  cleanups.push(() => hub.close());
  return hub;
}

/** A node that serves whatever it gets, or what `apply` makes of it. */
function startNode(
  port: number,
  apply: (snapshot: ReceivedSnapshot) => Promise<ApplyOutcome> = async () => ({ ok: true }),
  nodeId = "n1",
) {
  const applied: ReceivedSnapshot[] = [];
  /** How each publication came. */
  const pushes: string[] = [];
  const client = startSyncClient({
    controlPlanes: [`127.0.0.1:${port}`],
    hello: { nodeId, hostname: "h", build: "b", capabilities: ["delta.v1"], labels: {}, workerCount: 1 },
    openStream: (options) =>
      new SyncStream({
        ...options,
        onMessage(message) {
          if (message.case === "snapshotEnd") pushes.push(`whole ${message.value.publication}`);
          if (message.case === "delta") pushes.push(`${message.value.basePublication} to ${message.value.publication}`);
          options.onMessage(message);
        },
      }),
    holding: () => applied.at(-1) ?? null,
    apply: async (snapshot) => {
      const outcome = await apply(snapshot);
      if (outcome.ok) applied.push(snapshot);
      return outcome;
    },
    log,
    backoffFirstMaxMs: 20,
    backoffMaxMs: 100,
  });
  cleanups.push(() => client.close());
  return { client, applied, pushes };
}

const portOf = (hub: SyncHub): number => hub.addresses[0]!.port;
const waitAll = { who: "all", timeoutMs: 20_000 } as const;

async function connected(hub: SyncHub, nodeCount: number): Promise<void> {
  const giveUpAtMs = Date.now() + 20_000;
  while (hub.fleet.nodes().filter(({ isConnected }) => isConnected).length < nodeCount) {
    if (Date.now() > giveUpAtMs) throw new Error("the nodes did not connect");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a sync hub with sync clients", () => {
  it("has each of many writes applied by every node before the wait for it resolves", async () => {
    const store = new FakeSyncStore();
    const hub = await startHub(store);
    const nodes = ["n1", "n2"].map((nodeId) => startNode(portOf(hub), undefined, nodeId));
    await connected(hub, 2);
    for (let i = 0; i < 10; i++) {
      const revision = store.putUpstream(`u${i}`);
      expect(await hub.fleet.waitForRevision(revision, waitAll)).toEqual({ appliedCount: 2, nodeCount: 2 });
      for (const { applied } of nodes) expect(applied.at(-1)).toMatchObject({ revision, publication: revision });
    }
  });

  it("carries a state of several chunks whole", async () => {
    const store = new FakeSyncStore();
    for (let i = 0; i < 100; i++) store.putUpstream(`u${i}`, { tags: ["x".repeat(20_000)] });
    const hub = await startHub(store);
    const { applied } = startNode(portOf(hub));
    await connected(hub, 1);
    expect(await hub.fleet.waitForRevision(100, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(applied[0]?.entities).toHaveLength(100);
  });

  it("brings what changed of a large state only, also to a node that was away", async () => {
    const store = new FakeSyncStore();
    for (let i = 0; i < 100; i++) store.putUpstream(`u${i}`);
    const first = await startHub(store);
    const port = portOf(first);
    const { applied, pushes } = startNode(port);
    await connected(first, 1);
    expect(await first.fleet.waitForRevision(100, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    await first.fleet.waitForRevision(store.putUpstream("u7", { tags: ["changed"] }), waitAll);
    await first.fleet.waitForRevision(store.remove("upstream", "u8"), waitAll);
    await first.close();

    // The next control plane knows from what it starts with, and that is what the node has.
    const second = await startHub(store, port);
    const revision = store.putUpstream("new");
    await connected(second, 1);
    expect(await second.fleet.waitForRevision(revision, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(pushes).toEqual(["whole 100", "100 to 101", "101 to 102", "102 to 103"]);
    const whole = [...store.image.all("upstream")].map(({ id, body }) => ({ id, body: new Uint8Array(body) }));
    const served = applied.at(-1)!.entities.map(({ id, body }) => ({ id, body: new Uint8Array(body) }));
    expect(served).toEqual(whole.sort((left, right) => (left.id < right.id ? -1 : 1)));
  });

  it("brings a node that is slow to apply from its first publication to the newest", async () => {
    const store = new FakeSyncStore();
    store.putUpstream("first");
    const hub = await startHub(store);
    const gate = Promise.withResolvers<void>();
    const { applied } = startNode(portOf(hub), async () => {
      await gate.promise;
      return { ok: true };
    });
    await connected(hub, 1);
    let revision = 0;
    for (let i = 0; i < 20; i++) revision = store.putUpstream(`u${i}`);
    const waited = hub.fleet.waitForRevision(revision, waitAll);
    gate.resolve();
    expect(await waited).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(applied.length).toBeLessThanOrEqual(3);
    expect(applied.at(-1)?.revision).toBe(revision);
  });

  it("shows a refusal with entity and field, keeps the node where it was and tries the next publication", async () => {
    const store = new FakeSyncStore();
    const hub = await startHub(store);
    const refusal: Refusal = {
      reason: "invalid_entity",
      entityKind: "upstream",
      entityId: "poison",
      entityName: "poison",
      field: "name",
      message: "not acceptable here",
    };
    const { applied } = startNode(portOf(hub), async ({ entities }) =>
      entities.some(({ id }) => id === "poison") ? { ok: false, refusal } : { ok: true },
    );
    await connected(hub, 1);
    await hub.fleet.waitForRevision(store.putUpstream("good"), waitAll);
    const poisoned = store.putUpstream("poison");
    expect(await hub.fleet.waitForRevision(poisoned, waitAll)).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect(hub.fleet.nodes()[0]).toMatchObject({
      publication: 1,
      lag: 1,
      lastNack: { publication: 2, keptPublication: 1, ...refusal },
    });
    const cured = store.remove("upstream", "poison");
    expect(await hub.fleet.waitForRevision(cured, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(applied.at(-1)?.entities.map(({ id }) => id)).toEqual(["good"]);
  });

  it("finds together again after the control plane was away, without applying anything twice", async () => {
    const store = new FakeSyncStore();
    const first = await startHub(store);
    const port = portOf(first);
    const { applied } = startNode(port);
    await connected(first, 1);
    await first.fleet.waitForRevision(store.putUpstream("u1"), waitAll);
    const appliedBefore = applied.length;
    await first.close();

    const second = await startHub(store, port);
    await connected(second, 1);
    expect(await second.fleet.waitForRevision(1, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(applied).toHaveLength(appliedBefore);
    const revision = store.putUpstream("u2");
    expect(await second.fleet.waitForRevision(revision, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
  });

  it("moves a node to a later incarnation of the store, and leaves it alone with an earlier or foreign one", async () => {
    const later = new FakeSyncStore({ epoch: { counter: 9, id: Buffer.alloc(16, 9) } });
    const hub = await startHub(new FakeSyncStore({ revision: 700 }));
    const port = portOf(hub);
    const { applied } = startNode(port);
    await connected(hub, 1);
    await hub.fleet.waitForRevision(700, waitAll);
    await hub.close();

    later.putUpstream("new");
    const laterHub = await startHub(later, port);
    await connected(laterHub, 1);
    expect(await laterHub.fleet.waitForRevision(1, waitAll)).toEqual({ appliedCount: 1, nodeCount: 1 });
    expect(applied.at(-1)).toMatchObject({ publication: 1, epoch: { counter: 9 } });
    await laterHub.close();

    for (const { id, counter, reason } of [
      { id: 9, counter: 8, reason: "newer_epoch" },
      { id: 8, counter: 9, reason: "foreign_store" },
    ]) {
      const store = new FakeSyncStore({ epoch: { counter, id: Buffer.alloc(16, id) }, revision: 5 });
      const wrongHub = await startHub(store, port);
      await connected(wrongHub, 1);
      const revision = store.putUpstream("wrong");
      expect(await wrongHub.fleet.waitForRevision(revision, waitAll)).toEqual({ appliedCount: 0, nodeCount: 1 });
      expect(wrongHub.fleet.nodes()[0]?.lastNack).toMatchObject({ reason, keptPublication: 1 });
      await wrongHub.close();
    }
    expect(applied.at(-1)?.epoch.counter).toBe(9);
  });
});

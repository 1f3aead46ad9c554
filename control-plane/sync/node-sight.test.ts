import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { nodeCapabilities } from "../../data-plane/capabilities.ts";
import { startHub, until } from "../../test/support/sync-hub-rig.ts";

const statusOf = ({ hub }: Awaited<ReturnType<typeof startHub>>) => hub.fleet.nodes()[0]!;

describe("what the control plane shows of nodes", () => {
  it("follows a node from lagging to stale, to in sync, away, stale again and forgotten", async () => {
    const rig = await startHub({ staleAfterMs: 30_000, forgetAfterMs: 100_000 });
    const { clock, store, connectServing, fleet } = rig;
    store.putUpstream("u1");
    const node = await connectServing("n");
    await until(rig.hub, () => statusOf(rig).state === "in_sync");
    expect(statusOf(rig)).toMatchObject({ lag: 0, lagMs: null, stateReason: "", epoch: store.epoch });

    clock.advance(5_000);
    store.putUpstream("u2");
    clock.advance(29_000);
    expect(statusOf(rig)).toMatchObject({ state: "lagging", lag: 1, lagMs: 29_000 });
    clock.advance(1_001);
    expect(statusOf(rig)).toMatchObject({ state: "stale", lagMs: 30_001 });
    const { value: begin } = await node.next("snapshotBegin");
    node.ack(begin);
    await until(rig.hub, () => statusOf(rig).state === "in_sync");

    expect(fleet.forget("n")).toBe("connected");
    node.close();
    await until(rig.hub, () => statusOf(rig).state === "disconnected");
    clock.advance(30_001);
    expect(statusOf(rig)).toMatchObject({ state: "stale", isConnected: false });
    clock.advance(70_000);
    expect(fleet.nodes()).toEqual([]);
    expect(fleet.forget("n")).toBe("unknown");
  });

  it("forgets a node that is gone when it is told to, and lists it anew when it is back", async () => {
    const rig = await startHub();
    const node = await rig.connectServing("n");
    node.close();
    await until(rig.hub, () => !statusOf(rig).isConnected);
    expect(rig.fleet.forget("n")).toBe("forgotten");
    expect(rig.fleet.nodes()).toEqual([]);
    await rig.connectServing("n");
    expect(rig.fleet.nodes()).toHaveLength(1);
  });

  it("pushes to a node that serves a seed, unless that is just what it is to serve", async () => {
    const rig = await startHub();
    rig.store.putUpstream("u1");
    const first = await rig.connectServing("first");
    first.close();
    const { stateHash } = statusOf(rig);
    const { epoch } = rig.store;
    const have = {
      epoch: { $typeName: "penstock.sync.v1.Epoch", counter: BigInt(epoch.counter), id: epoch.id } as const,
    };
    const other = rig.connect();
    other.hello("other", { ...have, publication: 0n, stateHash: new Uint8Array(32) });
    expect((await other.next("snapshotBegin")).value.publication).toBe(1n);
    const same = rig.connect();
    same.hello("same", { ...have, publication: 0n, stateHash });
    expect((await same.next("upToDate")).value.publication).toBe(0n);
    await until(rig.hub, (fleet) => fleet.nodes().find(({ id }) => id === "same")?.state === "in_sync");
  });

  it("counts what nodes refuse, and says why they are behind", async () => {
    const rig = await startHub();
    const node = await rig.connectServing("n");
    rig.store.putUpstream("bad");
    rig.clock.advance(1_000);
    const { value: begin } = await node.next("snapshotBegin");
    const { publication } = begin;
    node.send({ case: "nack", value: { publication, reason: "invalid_entity", message: "no such thing" } });
    await until(rig.hub, () => statusOf(rig).nackCount === 1);
    expect(statusOf(rig)).toMatchObject({ state: "lagging", stateReason: "no such thing" });
    expect(rig.fleet.nackCount).toBe(1);
  });

  it("takes what a node says of itself, with the rates between two words, until its stream ends", async () => {
    const rig = await startHub();
    const node = await rig.connectServing("n");
    const workers = [{ number: 0, role: "serving", publication: 1n, requestCount: 100n }];
    const said = {
      requestCount: 100n,
      failureCount: 5n,
      connectionCount: 3n,
      endpointCount: 4,
      healthyEndpointCount: 3,
    };
    node.send({ case: "stats", value: { ...said, workers } });
    await until(rig.hub, () => statusOf(rig).figures !== null);
    expect(statusOf(rig).figures).toMatchObject({
      requestsPerSecond: 0,
      errorRatio: 0,
      requestCount: 100,
      workers: [{ publication: 1 }],
    });
    node.send({
      case: "stats",
      value: { ...said, requestCount: 150n, failureCount: 15n, interval: { seconds: 5n } },
    });
    await until(rig.hub, () => statusOf(rig).figures?.requestCount === 150);
    expect(statusOf(rig).figures).toMatchObject({
      requestsPerSecond: 10,
      errorRatio: 0.2,
      connectionCount: 3,
      endpointCount: 4,
      healthyEndpointCount: 3,
    });
    node.send({ case: "stats", value: { requestCount: -1n, failureCount: 2n ** 62n, interval: { seconds: 5n } } });
    await until(rig.hub, () => statusOf(rig).figures?.requestCount === 0);
    expect(statusOf(rig).figures).toMatchObject({ requestsPerSecond: 0, errorRatio: 1 });
    node.close();
    await until(rig.hub, () => !statusOf(rig).isConnected);
    expect(statusOf(rig).figures).toBeNull();
  });
});

describe("a node that is too old for parts of the configuration", () => {
  const old = ["config.v1", "delta.v1", "config.tiers"];

  async function startWithOld() {
    const lines: Record<string, unknown>[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const rig = await startHub({ log });
    rig.store.putUpstream("plain");
    rig.store.putUpstream("balanced", { balancing: { boundedLoad: 1.5 } });
    return { ...rig, rig, lines };
  }

  it("is told of with every entity before anything was pushed to it", async () => {
    const { rig, connect, fleet, lines } = await startWithOld();
    const node = connect();
    node.hello("old", undefined, old);
    await node.next("snapshotBegin");
    // Nothing is acked: this is known while the first push is under way.
    const entities = [{ kind: "upstream", id: "balanced", name: "balanced", field: "balancing" }];
    expect(statusOf(rig)).toMatchObject({
      publication: 0,
      unsupported: [{ capability: "config.balancing", entityCount: 1, entities }],
    });
    expect(lines).toMatchObject([{ node: "old", unsupported: [{ capability: "config.balancing" }] }]);
    expect(fleet.whoLacks("config.balancing").map(({ id }) => id)).toEqual(["old"]);
    expect(fleet.whoLacks("config.tiers")).toEqual([]);
  });

  it("is told of when a change needs more than it can, once, and before the change is pushed", async () => {
    const { rig, clock, connectServing, fleet, lines, store } = await startWithOld();
    await connectServing("young");
    fleet.nodes();
    const node = rig.connect();
    node.hello("old", undefined, old);
    await node.ackNextSnapshot();
    await until(rig.hub, () => fleet.nodes().find(({ id }) => id === "old")?.state === "in_sync");
    const before = lines.length;
    store.putUpstream("resilient", { resilience: { retry: { enabled: true } } });
    store.putUpstream("resilient-too", { resilience: { retry: { enabled: true } } });
    expect(lines.slice(before)).toMatchObject([
      { capability: "config.resilience", kind: "upstream", id: "resilient", field: "resilience", nodeCount: 2 },
    ]);
    expect(node.unreadCount("delta") + node.unreadCount("snapshotBegin")).toBe(0);
    clock.advance(1_000);
    const status = fleet.nodes().find(({ id }) => id === "old")!;
    expect(status.unsupported.map(({ capability, entityCount }) => [capability, entityCount])).toEqual([
      ["config.balancing", 1],
      ["config.resilience", 2],
    ]);
  });

  it("is still known when it connects again before its stream has ended, and not once it is gone", async () => {
    const { rig, connect, fleet } = await startWithOld();
    const first = connect();
    first.hello("old", undefined, old);
    await first.next("snapshotBegin");
    const second = connect();
    second.hello("old", undefined, old);
    await first.ended;
    expect(fleet.whoLacks("config.balancing")).toHaveLength(1);
    second.close();
    await until(rig.hub, () => !statusOf(rig).isConnected);
    expect(fleet.whoLacks("config.balancing")).toEqual([]);
  });

  it("is every node's lot to be, but for those that can do all", async () => {
    const { rig, connect, lines } = await startWithOld();
    const node = connect();
    node.hello("n", undefined, nodeCapabilities);
    await node.ackNextSnapshot();
    expect([statusOf(rig).unsupported, lines]).toEqual([[], []]);
  });
});

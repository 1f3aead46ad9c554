import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { HARD_LIMITS } from "../../proto/hard-limits.ts";
import { ConfigDecoder, type EncodedConfig } from "../config/encoded-config.ts";
import type { EndpointSet, PoolConfig } from "../config/worker-config.ts";
import { refusalOf } from "../sync/snapshot-assembler.ts";
import { EndpointResolver } from "../upstream/endpoint-resolver.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { NameResolver } from "../upstream/resolve-name.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import type { ReceivedSnapshot } from "./apply-snapshot.ts";
import { trial } from "./compile-snapshot.test-entities.ts";
import { SnapshotApplier } from "./snapshot-applier.ts";

function snapshot(publication: number, ...services: MessageInitShape<typeof ServiceSchema>[]): ReceivedSnapshot {
  const entities = services.map((init) => ({
    kind: "service",
    id: init.id ?? "",
    body: toBinary(ServiceSchema, create(ServiceSchema, init)),
  }));
  return {
    epoch: { counter: 1, id: new Uint8Array(16) },
    publication,
    revision: publication + 100,
    stateHash: new Uint8Array(32).fill(publication),
    entities,
  };
}

interface Delivered {
  readonly config: EncodedConfig;
  readonly whole: () => EncodedConfig;
  readonly pools: readonly PoolConfig[];
  readonly sets: readonly EndpointSet[];
}

/**
 * An applier over workers that accept every publication but those in `bad`.
 * @param former what an earlier process served
 * @param unfit publications that earlier processes were lost with
 */
function rig(bad: readonly number[] = [], former: ReceivedSnapshot | null = null, unfit: readonly number[] = []) {
  const timers = new FakeTimers();
  const delivered: Delivered[] = [];
  const events: string[] = [];
  const much: string[] = [];
  const takenUp: (number | null)[] = [];
  const names = new NameResolver({
    lookup: () => new Promise(() => {}),
    hosts: { addressesOf: () => null },
    families: "fastest",
    race: async () => null,
    timers,
    random: () => 0,
    onChange: () => {},
  });
  const endpoints = new EndpointResolver({
    names,
    rows: new EndpointRows(EndpointTable.create({ endpointRowsMax: 100, poolRowsMax: 100 }), 1_000),
    timers,
    firstAnswersWaitMs: 500,
    endpointsMax: 2,
    zone: null,
    onSets: () => {},
    onOverflow: () => {},
    caughtUp: async () => {},
  });
  const applier = new SnapshotApplier({
    limits: { ...HARD_LIMITS, servicesMax: 10 },
    certificates: trial,
    // A turn in between, on a machine that is slow, would be one more than the manual timers wait for.
    sliceMs: Number.POSITIVE_INFINITY,
    endpoints,
    former: async () => former,
    unfit: ({ publication }) => (unfit.includes(publication) ? refusalOf("process_lost", "lost") : null),
    onTakenUp: (taken) => takenUp.push(taken?.publication ?? null),
    collections: { begin: () => much.push("begins"), end: () => much.push("ends") },
    workers: {
      async deliver({ change, whole }) {
        const config = change ?? whole();
        const items = [...new ConfigDecoder().pagesOf(config)].flatMap(({ pools = [] }) => pools);
        const pools = items.flatMap(([, pool]) => pool ?? []);
        if (change === null) much.push("whole");
        delivered.push({ config, whole, pools, sets: items.flatMap(([, , set]) => set ?? []) });
        await timers.pass(0);
        return bad.includes(config.publication) ? { ok: false, message: "worker 1 refuses" } : { ok: true };
      },
      withdraw: () => events.push("withdraw"),
    },
    onApplied: ({ publication }) => events.push(`applied ${publication}`),
    onRefused: ({ publication }, { reason }) => events.push(`refused ${publication} ${reason}`),
    onWithdrawn: (withdrawn, again) => events.push(`withdrawn ${withdrawn.publication}, again ${again.publication}`),
    onRollbackFailed: (message) => events.push(`rollback failed: ${message}`),
  });
  return { applier, timers, delivered, events, much, takenUp, endpoints };
}

const good = { id: "s1", host: "10.0.0.1" };

describe("SnapshotApplier", () => {
  it("serves nothing at first", () => {
    expect(rig().applier.served).toBeNull();
  });

  it("takes a snapshot to the workers, with the pools' rows and endpoints", async () => {
    const { applier, delivered, events } = rig();
    expect(await applier.apply(snapshot(1, good, { id: "s2", host: "10.0.0.2" }))).toEqual({ ok: true });
    const { config, pools, sets } = delivered[0]!;
    expect(config).toMatchObject({ publication: 1, revision: 101, isWhole: true });
    expect(pools.map(({ poolRow }) => poolRow)).toEqual([0, 1]);
    expect(pools[0]).not.toHaveProperty("members");
    expect(sets.map(({ endpoints }) => endpoints[0]!.address)).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(applier.served).toMatchObject({ publication: 1, revision: 101 });
    expect(applier.served).not.toHaveProperty("entities");
    expect(events).toEqual(["applied 1"]);
  });

  it("refuses what does not compile, and no worker hears of it", async () => {
    const { applier, delivered } = rig();
    await applier.apply(snapshot(1, good));
    const outcome = await applier.apply(snapshot(2, { id: "s1", host: "a b" }));
    expect(outcome).toMatchObject({ ok: false, refusal: { entityId: "s1", field: "host" } });
    expect(delivered).toHaveLength(1);
    expect(applier.served?.publication).toBe(1);
  });

  it("gives the workers back what they served when one refuses, and applies the next snapshot", async () => {
    const { applier, delivered, events } = rig([2]);
    await applier.apply(snapshot(1, good));
    const outcome = await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    expect(outcome).toMatchObject({ ok: false, refusal: { reason: "worker_failed", message: "worker 1 refuses" } });
    expect(delivered.map(({ config }) => [config.publication, config.isWhole])).toEqual([
      [1, true],
      [2, false],
      [1, true],
    ]);
    expect(delivered[2]!.sets[0]!.endpoints[0]!.address).toBe("10.0.0.1");
    expect(applier.served?.publication).toBe(1);
    expect(await applier.apply(snapshot(3, good))).toEqual({ ok: true });
    expect(events).toEqual(["applied 1", "refused 2 worker_failed", "applied 3"]);
  });

  it("makes nothing anew in the turn in which it gives the workers back what they served", async () => {
    const { applier, endpoints, delivered } = rig([2]);
    const madeAtUse: (readonly string[])[] = [];
    const use = endpoints.use.bind(endpoints);
    endpoints.use = (pools) => {
      const resolved = use(pools);
      madeAtUse.push(resolved!.late.map(({ poolKey }) => poolKey));
      return resolved;
    };
    await applier.apply(snapshot(1, good));
    await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    expect(delivered[2]!.sets[0]!.endpoints[0]!.address).toBe("10.0.0.1");
    expect(madeAtUse).toEqual([[], [], []]);
  });

  it("tells when workers that serve get all of a config, and when they have it", async () => {
    const { applier, much } = rig([3]);
    await applier.apply(snapshot(1, good));
    await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    expect(much).toEqual(["whole"]);
    await applier.apply(snapshot(3, good));
    expect(much).toEqual(["whole", "begins", "whole", "ends"]);
    await applier.goBack(2, "out of memory");
    await applier.apply(snapshot(4, good));
    expect(much.slice(4)).toEqual(["begins", "whole", "ends"]);
  });

  it("leaves the workers without a config when the first of all is refused", async () => {
    const { applier, events } = rig([1]);
    expect(await applier.apply(snapshot(1, good))).toMatchObject({ ok: false });
    expect(applier.served).toBeNull();
    expect(events).toEqual(["withdraw", "refused 1 worker_failed"]);
  });

  it("goes back to what was served before when workers die of what is served, and takes that no more", async () => {
    const { applier, delivered, events } = rig();
    await applier.apply(snapshot(1, good));
    await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    await applier.goBack(2, "out of memory");
    expect(applier.served?.publication).toBe(1);
    expect(delivered.map(({ config }) => config.publication)).toEqual([1, 2, 1]);
    const again = await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    expect(again).toMatchObject({ refusal: { reason: "workers_lost", message: expect.stringContaining("memory") } });
    // There is nothing before it to go back to, and the next publication is taken.
    await applier.goBack(1, "out of memory");
    expect(applier.served?.publication).toBe(1);
    expect(await applier.apply(snapshot(3, good))).toEqual({ ok: true });
    // Meanwhile something else is served.
    await applier.goBack(1, "out of memory");
    expect(applier.served?.publication).toBe(3);
    const told = ["applied 1", "applied 2", "withdrawn 2, again 1", "refused 2 workers_lost", "applied 3"];
    expect(events).toEqual(told);
  });

  it("goes back to what an earlier process served when workers die of the first that this one serves", async () => {
    const { applier, delivered, events } = rig([], snapshot(1, good));
    await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }));
    await applier.goBack(2, "out of memory");
    expect(applier.served?.publication).toBe(1);
    expect(delivered.map(({ config }) => config.publication)).toEqual([2, 1]);
    expect(await applier.apply(snapshot(2, { id: "s1", host: "10.0.0.2" }))).toMatchObject({ ok: false });
    expect(await applier.apply(snapshot(3, good))).toEqual({ ok: true });
    const told = ["applied 2", "withdrawn 2, again 1", "refused 2 workers_lost", "applied 3"];
    expect(events).toEqual(told);
  });

  it("takes nothing that processes were lost with, unless there is nothing else", async () => {
    const { applier, events } = rig([], null, [1, 2]);
    expect(await applier.apply(snapshot(1, good))).toEqual({ ok: true });
    expect(await applier.apply(snapshot(2, good))).toMatchObject({ ok: false, refusal: { reason: "process_lost" } });
    expect(await applier.apply(snapshot(3, good))).toEqual({ ok: true });
    expect(events).toEqual(["applied 1", "refused 2 process_lost", "applied 3"]);
  });

  it("tells what it takes up, and after a refusal what it serves on", async () => {
    const { applier, takenUp } = rig([2, 4]);
    await applier.apply(snapshot(2, good));
    await applier.apply(snapshot(3, good));
    await applier.apply(snapshot(4, { id: "s1", host: "10.0.0.2" }));
    await applier.apply(snapshot(5, { id: "s1", host: "10.0.0.3" }));
    await applier.goBack(5, "out of memory");
    expect(takenUp).toEqual([2, null, 3, 4, 3, 5, 3]);
  });

  it("says so where it cannot go back, and takes the next publication", async () => {
    const { applier, events } = rig([], { ...snapshot(1, good), entities: null as never });
    await applier.apply(snapshot(2, good));
    await applier.goBack(2, "out of memory");
    expect(events.at(-1)).toMatch(/^rollback failed: /);
    expect(await applier.apply(snapshot(3, good))).toEqual({ ok: true });
  });

  it("has workers change only what differs from what they serve, also after it has gone back", async () => {
    const { applier, delivered } = rig();
    const [one, two] = [good, { id: "s2", host: "10.0.0.2" }];
    const keys = () => {
      const { config, pools } = delivered.at(-1)!;
      return [config.isWhole, ...pools.map(({ key }) => key)];
    };
    await applier.apply(snapshot(1, one, two));
    expect(keys()).toEqual([true, "host:10.0.0.1:80", "host:10.0.0.2:80"]);
    // The pool that goes is named by its slot alone.
    await applier.apply(snapshot(2, one));
    expect(keys()).toEqual([false]);
    await applier.goBack(2, "out of memory");
    expect(keys()).toEqual([true, "host:10.0.0.1:80", "host:10.0.0.2:80"]);
    await applier.apply(snapshot(3, one, { ...two, host: "10.0.0.3" }));
    expect(keys()).toEqual([false, "host:10.0.0.3:80"]);
    expect(applier.served?.publication).toBe(3);
  });

  it("tells workers that begin of endpoints as they are by then", async () => {
    const { applier, delivered } = rig();
    await applier.apply(snapshot(1, good));
    const { whole } = delivered[0]!;
    const before = whole();
    expect(whole().pages).toBe(before.pages);
    applier.endpointsChanged([{ poolKey: "host:10.0.0.1:80", endpoints: [], emptyBecause: "unresolved", rings: null }]);
    expect(whole().pages).not.toBe(before.pages);
  });

  it("refuses more endpoints than the node takes", async () => {
    const { applier } = rig();
    const services = [1, 2, 3].map((i) => ({ id: `s${i}`, host: `10.0.0.${i}` }));
    expect(await applier.apply(snapshot(1, ...services))).toMatchObject({ refusal: { reason: "limit_exceeded" } });
  });

  it("waits half a second for names that are new, then goes on without their addresses", async () => {
    const { applier, timers, delivered } = rig();
    const outcome = applier.apply(snapshot(1, { id: "s1", host: "slow.test" }));
    await timers.pass(499);
    expect(delivered).toHaveLength(0);
    await timers.pass(1);
    expect(await outcome).toEqual({ ok: true });
    expect(delivered[0]!.sets).toEqual([
      { poolKey: "host:slow.test:80", endpoints: [], emptyBecause: "unresolved", rings: null },
    ]);
  });

  it("applies one snapshot after the other", async () => {
    const { applier, delivered, events } = rig([2]);
    await Promise.all([1, 2, 3].map((publication) => applier.apply(snapshot(publication, good))));
    expect(delivered.map(({ config }) => config.publication)).toEqual([1, 2, 1, 3]);
    expect(events).toEqual(["applied 1", "refused 2 worker_failed", "applied 3"]);
  });

  it("tells when a config is with the workers, before they have answered", async () => {
    const { applier, delivered, events } = rig();
    const { isUnderWay, outcome } = applier.begin(snapshot(1, good));
    await isUnderWay;
    expect(delivered).toHaveLength(1);
    expect(events).toEqual([]);
    await outcome;
    await applier.begin(snapshot(2, { id: "s1", host: "" })).isUnderWay;
  });
});

import { describe, expect, it } from "vitest";
import { type BalancingConfig, defaultBalancing } from "../config/balancing-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import { EndpointRamps } from "./endpoint-ramps.ts";

const slowStart = { windowMs: 10_000, minRatio: 0.1, aggression: 1 };
const failBack = { overflowThresholdPercent: 0, failBackDelayMs: 5_000 };

/** A pool whose endpoints are called by letters; a letter with a digit is of that tier. */
function rig() {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: 20, poolRowsMax: 2 });
  const rows = new EndpointRows(table, 300_000);
  const poolRow = rows.poolRow("upstream:u")!;
  const ramps = new EndpointRamps({ table, rows, timers });
  let sequence = 0;
  const rowOf = (name: string) =>
    rows.endpointRow({ targetId: name, poolKey: "upstream:u", host: name[0]!, address: "192.0.2.1", port: 80 })!;
  const use = (names: readonly string[], balancing: Partial<BalancingConfig> = { slowStart }) => {
    const endpoints = names.map((name) => testEndpoint({ row: rowOf(name), priority: Number(name[1] ?? 0) }));
    const { poolRow: _, ...pool } = testPool({ balancing: { ...defaultBalancing, ...balancing } });
    const plan: PoolPlan = {
      ...{
        ...pool,
        weightBasis: "per_address",
        usesSrvName: false,
        slots: 10_000,
        members: [],
        activeCheck: null,
        overrides: [],
      },
    };
    rows.sent(++sequence, new Set(["upstream:u"]), new Set(endpoints.map(({ row }) => row)), timers.nowMs());
    ramps.update([plan], new Map([["upstream:u", testSet(endpoints)]]));
  };
  return {
    ...{ timers, table, rows, ramps, use, poolRow },
    rampOf: (name: string) => table.ramp(rowOf(name)),
    /** Whoever does it, somebody notices. */
    set(name: string, isOut: boolean) {
      table.setFlag(poolRow, rowOf(name), "ejected", isOut);
      ramps.look(rowOf(name));
    },
  };
}

describe("slow start", () => {
  it("begins with the least in the very moment in which an endpoint is back, and ends with all", async () => {
    const { use, set, rampOf, timers, ramps } = rig();
    use(["a", "b"]);
    set("a", true);
    expect([rampOf("a"), rampOf("b"), timers.waitingCount]).toEqual([100, 1_000, 0]);
    await timers.pass(60_000);
    expect(rampOf("a")).toBe(100);
    set("a", false);
    const seen: number[] = [];
    for (let second = 0; second <= 10; second++) {
      seen.push(rampOf("a"));
      await timers.pass(1_000);
    }
    expect(seen).toEqual([100, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
    expect([timers.waitingCount, ramps.growingCount]).toEqual([0, 0]);
  });

  it("moves the pool's generation with each step, and not without one", async () => {
    const { use, set, table, poolRow, timers } = rig();
    use(["a", "b"]);
    set("a", true);
    set("a", false);
    const before = table.generation(poolRow);
    await timers.pass(10_000);
    // From 100 to 1000 in steps of 20, the first five of them below the least.
    expect(table.generation(poolRow) - before).toBe(45);
    await timers.pass(10_000);
    expect(table.generation(poolRow) - before).toBe(45);
  });

  it("begins anew for one that goes out meanwhile", async () => {
    const { use, set, rampOf, timers } = rig();
    use(["a", "b"]);
    set("a", true);
    set("a", false);
    await timers.pass(6_000);
    expect(rampOf("a")).toBe(600);
    set("a", true);
    expect([rampOf("a"), timers.waitingCount]).toEqual([100, 0]);
    set("a", false);
    await timers.pass(2_000);
    expect(rampOf("a")).toBe(200);
  });

  it("is for one that joins others, not for those that a node begins with, nor where all are new", async () => {
    const { use, rampOf, timers } = rig();
    use(["a", "b"]);
    expect([rampOf("a"), rampOf("b")]).toEqual([1_000, 1_000]);
    use(["a", "b", "c"]);
    expect([rampOf("a"), rampOf("c")]).toEqual([1_000, 100]);
    await timers.pass(5_000);
    expect(rampOf("c")).toBe(500);
    use(["d", "e"]);
    expect([rampOf("d"), rampOf("e")]).toEqual([1_000, 1_000]);
  });

  it("is for one that was away for a while", () => {
    const { use, rampOf } = rig();
    use(["a", "b"]);
    use(["b"]);
    use(["a", "b"]);
    expect([rampOf("a"), rampOf("b")]).toEqual([100, 1_000]);
  });

  it("is not for those that wait for their first probe at a node's start, but for one that joins later", async () => {
    const { use, set, rampOf, table, rows, poolRow } = rig();
    const rowOfA = rows.endpointRow({
      ...{ targetId: "a", poolKey: "upstream:u", host: "a", address: "192.0.2.1", port: 80 },
    })!;
    table.setFlag(poolRow, rowOfA, "ejected", true);
    use(["a", "b"]);
    expect(rampOf("a")).toBe(1_000);
    set("a", false);
    expect(rampOf("a")).toBe(1_000);
    set("a", true);
    expect(rampOf("a")).toBe(100);
  });

  it("ends with the configuration that asks for it, and goes on under another window", async () => {
    const { use, set, rampOf, timers, ramps } = rig();
    use(["a", "b"]);
    set("a", true);
    set("a", false);
    await timers.pass(4_000);
    use(["a", "b"], { slowStart: { ...slowStart, windowMs: 8_000 } });
    expect(rampOf("a")).toBe(500);
    use(["a", "b"], {});
    expect([rampOf("a"), ramps.growingCount, timers.waitingCount]).toEqual([1_000, 0, 0]);
    set("a", true);
    expect(rampOf("a")).toBe(1_000);
  });

  it("leaves nothing to whoever gets the row of one that is gone", () => {
    const { use, set, rampOf } = rig();
    use(["a", "b"]);
    set("a", true);
    use(["b"]);
    expect(rampOf("a")).toBe(1_000);
  });

  it("ends with the node", async () => {
    const { use, set, ramps, timers, rampOf } = rig();
    use(["a", "b"]);
    set("a", true);
    set("a", false);
    ramps.close();
    await timers.pass(10_000);
    expect([rampOf("a"), timers.waitingCount]).toEqual([100, 0]);
  });
});

describe("the delay of a fail-back", () => {
  const balancing = { failover: failBack };

  it("holds an endpoint back where there is a lower tier, for as long as it says", async () => {
    const { use, set, rampOf, timers } = rig();
    use(["a0", "b0", "c1"], balancing);
    set("a0", true);
    expect(rampOf("a0")).toBe(0);
    set("a0", false);
    await timers.pass(4_999);
    expect(rampOf("a0")).toBe(0);
    await timers.pass(1);
    expect([rampOf("a0"), timers.waitingCount]).toEqual([1_000, 0]);
  });

  it("is none in the last tier, nor without a lower one", () => {
    const { use, set, rampOf } = rig();
    use(["a0", "c1"], balancing);
    set("c1", true);
    expect(rampOf("c1")).toBe(1_000);
    use(["a0", "b0"], balancing);
    set("a0", true);
    expect(rampOf("a0")).toBe(1_000);
  });

  it("goes before slow start", async () => {
    const { use, set, rampOf, timers } = rig();
    use(["a0", "c1"], { ...balancing, slowStart });
    set("a0", true);
    set("a0", false);
    await timers.pass(4_000);
    expect(rampOf("a0")).toBe(0);
    await timers.pass(1_000);
    expect(rampOf("a0")).toBe(100);
    await timers.pass(5_000);
    expect(rampOf("a0")).toBe(500);
    await timers.pass(5_000);
    expect([rampOf("a0"), timers.waitingCount]).toEqual([1_000, 0]);
  });

  it("is not for one that is new, which takes up its share slowly all the same", () => {
    const { use, rampOf } = rig();
    use(["a0", "c1"], { ...balancing, slowStart });
    use(["a0", "b0", "c1"], { ...balancing, slowStart });
    expect([rampOf("a0"), rampOf("b0"), rampOf("c1")]).toEqual([1_000, 100, 1_000]);
  });
});

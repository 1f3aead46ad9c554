import { describe, expect, it } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { hashRings } from "./hash-ring.ts";
import { hash32 } from "./hash32.ts";
import { createPicker } from "./picker.ts";

const hashConfig = { on: { kind: "ip" as const }, fallback: null, boundedLoad: null };
const keys = Array.from({ length: 4_000 }, (_, i) => hash32(`user-${i}`));

describe("ConsistentHashing", () => {
  it("sends a key to the same endpoint each time, and takes nobody's turn", () => {
    const { rowsOf, state } = pickerOf(fiveEqual());
    expect(rowsOf()).toEqual(rowsOf());
    expect(state.cursor()).toBe(0);
  });

  it("sends keys to the same endpoints for ever", () => {
    const { rowsOf } = pickerOf(fiveEqual());
    expect(rowsOf().slice(0, 16)).toEqual([0, 1, 4, 2, 3, 2, 4, 2, 2, 3, 3, 1, 3, 3, 3, 1]);
  });

  it("spreads keys by weight", () => {
    const { rowsOf } = pickerOf(fiveEqual().map((each, i) => ({ ...each, weight: i === 0 ? 600 : 100 })));
    const counts = countsOf(rowsOf());
    expect(counts[0]! / keys.length).toBeCloseTo(0.6, 1);
    for (const row of [1, 2, 3, 4]) expect(counts[row]! / keys.length).toBeCloseTo(0.1, 1);
  });

  it("moves the keys of one that is out, and those alone, evenly, and back when it is in", () => {
    const { rowsOf, state } = pickerOf(fiveEqual());
    const before = rowsOf();
    state.set(2, "ejected");
    const out = rowsOf();
    for (const [i, row] of before.entries()) if (row !== 2) expect(out[i]).toBe(row);
    const moved = countsOf(out.filter((_, i) => before[i] === 2));
    for (const row of [0, 1, 3, 4]) expect(moved[row]).toBeGreaterThan(keys.length / 5 / 4 / 1.4);
    state.readmit(2);
    expect(rowsOf()).toEqual(before);
  });

  it("sends a retry to another endpoint, the same one each time", () => {
    const { picker, endpoints } = pickerOf(fiveEqual());
    for (const hash of keys.slice(0, 200)) {
      const tried: EndpointConfig[] = [];
      for (const _ of endpoints) tried.push(picker.pick({ ...question, hash, tried })!);
      expect(new Set(tried).size).toBe(5);
      expect(picker.pick({ ...question, hash, tried: tried.slice(0, 2) })).toBe(tried[2]);
      // All were tried: the first choice again.
      expect(picker.pick({ ...question, hash, tried })).toBe(tried[0]);
    }
  });

  it("moves ever more keys to an endpoint that takes up its share, and each of them once", () => {
    const { rowsOf, state } = pickerOf(fiveEqual());
    const all = rowsOf();
    let former = new Set<number>();
    for (const ramp of [100, 250, 500, 900]) {
      state.setRamp(0, 3, ramp);
      const rows = rowsOf();
      const here = new Set(rows.flatMap((row, i) => (row === 3 ? [i] : [])));
      for (const i of former) expect(here).toContain(i);
      for (const i of here) expect(all[i]).toBe(3);
      const due = (keys.length / 5) * (ramp / 1_000);
      expect(Math.abs(here.size - due)).toBeLessThan(60);
      former = here;
    }
  });

  it("moves no key while all endpoints take up their shares", () => {
    const { rowsOf, state } = pickerOf(fiveEqual());
    const before = rowsOf();
    for (const row of [0, 1, 2, 3, 4]) state.setRamp(0, row, 50);
    expect(rowsOf()).toEqual(before);
  });

  it("keeps keys in their tier as the tier's share shrinks, but for those that have to leave it", () => {
    const endpoints = [
      ...fiveEqual(),
      ...fiveEqual().map((each) => ({ ...each, row: each.row + 5, port: 81, priority: 1 })),
    ];
    const failover = { overflowThresholdPercent: 100, failBackDelayMs: 0 };
    const { rowsOf, state } = pickerOf(endpoints, { failover });
    const before = rowsOf();
    expect(Math.max(...before)).toBeLessThan(5);
    state.set(0, "unhealthy");
    const after = rowsOf();
    const left = after.filter((row) => row >= 5).length / keys.length;
    expect(left).toBeCloseTo(0.2, 1);
    for (const [i, row] of after.entries()) if (row < 5 && before[i] !== 0) expect(row).toBe(before[i]);
  });

  it("finds the last endpoint of many", () => {
    const endpoints = Array.from({ length: 200 }, (_, row) => testEndpoint({ row, port: 9_000 + row, weight: 100 }));
    const { rowsOf, state } = pickerOf(endpoints);
    for (let row = 0; row < 199; row++) state.set(row, "ejected");
    expect(new Set(rowsOf())).toEqual(new Set([199]));
  });

  it("finds one that weighs too little to have a slot when the others are out", () => {
    const endpoints = [testEndpoint({ row: 0, weight: 65_535 }), testEndpoint({ row: 1, port: 81, weight: 1 })];
    const rings = hashRings([endpoints[0]!], 1_000);
    const state = new FakeEndpointState();
    const picker = createPicker(poolOf(), testSet(endpoints, { rings }), state);
    expect(picker.pick(question)!.row).toBe(0);
    state.set(0, "ejected");
    expect(picker.pick(question)!.row).toBe(1);
  });

  it("takes turns where there are no rings yet", () => {
    const picker = createPicker(poolOf(), testSet(fiveEqual()), new FakeEndpointState());
    expect([0, 1, 2].map(() => picker.pick(question)!.row)).toEqual([0, 1, 2]);
  });

  it("has at no endpoint more under way than its bound, whichever keys come, and moves no others", () => {
    const { picker, state, endpoints } = pickerOf(fiveEqual(), { hash: { ...hashConfig, boundedLoad: 1.25 } });
    // One key in two is the same.
    const hashes = keys.slice(0, 500).flatMap((key) => [key, keys[0]!]);
    const home = picker.peek({ ...question, hash: keys[0]! })!.row;
    let overflowCount = 0;
    for (const hash of hashes) {
      const { row } = picker.pick({ ...question, hash })!;
      if (hash === keys[0] && row !== home) overflowCount++;
      const bound = Math.ceil((1.25 * (state.poolInFlight() + 1)) / endpoints.length);
      expect(state.inFlight(row) + 1).toBeLessThanOrEqual(bound);
      state.attemptBegins(0, row);
    }
    expect(overflowCount).toBeGreaterThan(100);
    expect(state.inFlight(home)).toBe(Math.ceil((1.25 * 1_000) / 5));
  });

  it("goes on from one that is at its limit to the others, evenly", () => {
    const { rowsOf, state } = pickerOf(fiveEqual().map((each) => ({ ...each, maxInFlight: each.row === 1 ? 1 : 0 })));
    const before = rowsOf();
    state.attemptBegins(0, 1);
    const after = rowsOf();
    const moved = countsOf(after.filter((_, i) => before[i] === 1));
    for (const row of [0, 2, 3, 4]) expect(moved[row]).toBeGreaterThan(100);
    for (const [i, row] of before.entries()) if (row !== 1) expect(after[i]).toBe(row);
  });
});

const question = { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };

function fiveEqual(): EndpointConfig[] {
  return [0, 1, 2, 3, 4].map((row) => testEndpoint({ row, address: `10.0.0.${row + 1}`, weight: 100 }));
}

function poolOf(balancing: object = {}) {
  return testPool({
    algorithm: "consistent-hashing",
    balancing: { ...defaultBalancing, hash: hashConfig, ...balancing },
  });
}

function pickerOf(endpoints: readonly EndpointConfig[], balancing: object = {}) {
  const state = new FakeEndpointState();
  const set = testSet(endpoints, { rings: hashRings(endpoints, 1_000) });
  const picker = createPicker(poolOf(balancing), set, state);
  const rowsOf = () => keys.map((hash) => picker.pick({ ...question, hash })!.row);
  return { picker, state, endpoints, rowsOf };
}

function countsOf(rows: readonly number[]): number[] {
  const counts: number[] = [];
  for (const row of rows) counts[row] = (counts[row] ?? 0) + 1;
  return counts;
}

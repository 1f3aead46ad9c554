import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultResilience } from "../config/resilience-config.ts";
import type { EndpointConfig, EndpointSet, PoolConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { createPicker } from "./picker.ts";

const pool: PoolConfig = {
  key: "upstream:u",
  name: "u",
  poolRow: 0,
  hostHeader: null,
  isUpstream: true,
  algorithm: "round-robin",
  resilience: defaultResilience,
};

describe("createPicker", () => {
  it("alternates between two equal endpoints", () => {
    const { pickRows } = pickerOf([100, 100]);
    expect(pickRows(6)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it("follows weights exactly over a whole round", () => {
    const { pickRows } = pickerOf([30, 10]);
    expect(pickRows(8)).toEqual([0, 0, 1, 0, 0, 0, 1, 0]);
  });

  it("gives null without endpoints", () => {
    expect(pickerOf([]).picker.pick([])).toBeNull();
  });

  it("leaves out an ejected endpoint and keeps the others' proportions", () => {
    const { pickRows, state } = pickerOf([2, 1, 1]);
    pickRows(5);
    state.eject(0, 0);
    expect(countRows(pickRows(100))).toEqual({ 1: 50, 2: 50 });
  });

  it("takes an endpoint back in once it is readmitted", () => {
    const { pickRows, state } = pickerOf([1, 1]);
    state.eject(0, 0);
    expect(countRows(pickRows(4))).toEqual({ 1: 4 });
    state.readmit(0);
    expect(countRows(pickRows(4))).toEqual({ 0: 2, 1: 2 });
  });

  it("picks among all when every endpoint is ejected", () => {
    const { pickRows, state } = pickerOf([1, 1]);
    state.eject(0, 0);
    state.eject(0, 1);
    expect(countRows(pickRows(10))).toEqual({ 0: 5, 1: 5 });
  });

  it.each([
    { name: "an untried available one first", ejected: [0], tried: [1], want: [2] },
    { name: "an ejected one when all available ones are tried", ejected: [0], tried: [1, 2], want: [0] },
    { name: "an available one again when all are tried", ejected: [0], tried: [0, 1, 2], want: [1, 2] },
    { name: "any when all are ejected and tried", ejected: [0, 1, 2], tried: [0, 1, 2], want: [0, 1, 2] },
  ])("gives a retry $name", ({ ejected, tried, want }) => {
    const { picker, state, endpoints } = pickerOf([1, 1, 1]);
    for (const row of ejected) state.eject(0, row);
    const triedEndpoints = tried.map((row) => endpoints[row]!);
    for (let turn = 0; turn < 12; turn++) expect(want).toContain(picker.pick(triedEndpoints)?.row);
  });

  it("knows a tried endpoint again by its row", () => {
    const { picker, endpoints } = pickerOf([1, 1]);
    const resent = { ...endpoints[0]!, weight: 5 };
    for (let turn = 0; turn < 4; turn++) expect(picker.pick([resent])?.row).toBe(1);
  });

  it("never repeats an endpoint within a request while an available one is left", () => {
    const cases = fc.record({
      weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
      ejectedRows: fc.uniqueArray(fc.nat(7)),
      skippedTurns: fc.nat(50),
    });
    fc.assert(
      fc.property(cases, ({ weights, ejectedRows, skippedTurns }) => {
        const { picker, pickRows, state, endpoints } = pickerOf(weights);
        for (const row of ejectedRows) if (row < weights.length) state.eject(0, row);
        pickRows(skippedTurns);
        const tried: EndpointConfig[] = [];
        for (const _ of endpoints) tried.push(picker.pick(tried)!);
        const rows = tried.map((endpoint) => endpoint.row);
        expect(new Set(rows).size).toBe(weights.length);
        const availableCount = endpoints.filter((endpoint) => !state.isOut(endpoint.row)).length;
        for (const row of rows.slice(0, availableCount)) expect(state.isOut(row)).toBe(false);
      }),
    );
  });

  it("shares one cursor with the other workers' pickers", () => {
    const first = pickerOf([1, 1]);
    const second = createPicker(pool, first.set, first.state);
    const rows = Array.from({ length: 6 }, (_, i) => (i % 3 === 0 ? first.picker : second).pick([])?.row);
    expect(rows).toEqual([0, 1, 0, 1, 0, 1]);
  });
});

/** The endpoint table of one thread. */
class FakeEndpointState implements EndpointState {
  readonly #ejected = new Set<number>();
  #cursor = 0;
  #generation = 7;

  isOut(row: number): boolean {
    return this.#ejected.has(row);
  }

  generation(): number {
    return this.#generation;
  }

  advanceCursor(): number {
    return this.#cursor++;
  }

  eject(_poolRow: number, row: number): boolean {
    this.#ejected.add(row);
    this.#generation++;
    return true;
  }

  attemptBegins(): void {}

  attemptEnds(): void {}

  inFlight(): number {
    return 0;
  }

  readmit(row: number): void {
    this.#ejected.delete(row);
    this.#generation++;
  }
}

function pickerOf(weights: readonly number[]) {
  const endpoints = weights.map(
    (weight, row): EndpointConfig => ({ row, address: "127.0.0.1", port: 9000 + row, weight, hostHeader: "h" }),
  );
  const set: EndpointSet = { poolKey: pool.key, endpoints, emptyBecause: weights.length === 0 ? "no_targets" : null };
  const state = new FakeEndpointState();
  const picker = createPicker(pool, set, state);
  const pickRows = (count: number) => Array.from({ length: count }, () => picker.pick([])!.row);
  return { picker, state, endpoints, set, pickRows };
}

function countRows(rows: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const row of rows) counts[row] = (counts[row] ?? 0) + 1;
  return counts;
}

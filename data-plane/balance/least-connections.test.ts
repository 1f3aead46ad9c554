import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { createPicker } from "./picker.ts";
import { sharesOf, simulateTraffic } from "./simulated-traffic.test-rig.ts";

const pool = testPool({ algorithm: "least-connections" });

describe("LeastConnections", () => {
  it("spreads an idle pool by weight", () => {
    const { picker } = pickerOf([3, 1, 1]);
    const turns = Array.from({ length: 100 }, () => picker.pick(question())!);
    expect(sharesOf(turns, 3)).toEqual([0.6, 0.2, 0.2]);
  });

  it("picks, of up to 32, one with the least under way for its weight, or one that has nothing to do", () => {
    const endpoint = fc.record({ weight: fc.integer({ min: 1, max: 20 }), inFlight: fc.nat(5) });
    const cases = fc.array(endpoint, { minLength: 1, maxLength: 32 });
    fc.assert(
      fc.property(cases, fc.nat(100), (given, skipped) => {
        const { picker, state } = pickerOf(given.map(({ weight }) => weight));
        for (let i = 0; i < skipped; i++) state.advanceCursor();
        for (const [row, { inFlight }] of given.entries())
          for (let i = 0; i < inFlight; i++) state.attemptBegins(0, row);
        const { row, weight } = picker.pick(question())!;
        if (state.inFlight(row) === 0) return;
        const costs = given.map((each) => (each.inFlight + 1) / each.weight);
        expect((state.inFlight(row) + 1) / weight).toBe(Math.min(...costs));
      }),
    );
  });

  it("has as much under way at each for its weight, however long requests take", () => {
    const { picker, state } = pickerOf([3, 1]);
    for (let i = 0; i < 400; i++) state.attemptBegins(0, picker.pick(question())!.row);
    expect([state.inFlight(0), state.inFlight(1)]).toEqual([300, 100]);
  });

  it("sends a slow endpoint of 100 little, though it compares but a sample", () => {
    const { picker, state } = pickerOf(Array<number>(100).fill(1));
    const latencyMs = (row: number, _atMs: number, draw: number) => (row % 4 === 0 ? 200 : 10 + 10 * draw);
    const requests = simulateTraffic(picker, state, { perSecond: 5_000, lengthMs: 4_000, latencyMs });
    const shares = sharesOf(requests, 100);
    const slow = shares.reduce((sum, share, row) => sum + (row % 4 === 0 ? share : 0), 0);
    expect(slow).toBeLessThan(0.1);
  });

  it("finds the one of 100 that is not at its limit, though no sample has it", () => {
    const endpoints = Array.from({ length: 100 }, (_, row) => testEndpoint({ row, maxInFlight: 1 }));
    const state = new FakeEndpointState();
    for (let row = 0; row < 100; row++) if (row !== 57) state.attemptBegins(0, row);
    const picker = createPicker(pool, testSet(endpoints), state);
    for (let i = 0; i < 50; i++) expect(picker.pick(question())!.row).toBe(57);
    state.attemptBegins(0, 57);
    expect(picker.pick(question())).toBeNull();
    expect(picker.isFull).toBe(true);
  });
});

function question() {
  return { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };
}

function pickerOf(weights: readonly number[]) {
  const endpoints = weights.map((weight, row) => testEndpoint({ row, port: 9000 + row, weight }));
  const state = new FakeEndpointState();
  return { picker: createPicker(pool, testSet(endpoints), state), state };
}

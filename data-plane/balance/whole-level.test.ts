import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { createPicker, type PickQuestion } from "./picker.ts";
import { WholeLevel } from "./whole-level.ts";

const question: PickQuestion = { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };

describe("WholeLevel", () => {
  it("passes over the places of those that are out, also across the end of the wheel", () => {
    const members = [1, 3, 1].map((weight, row) => testEndpoint({ row, weight }));
    const whole = new WholeLevel(members);
    expect([...whole.wheel]).toEqual([1, 0, 1, 2, 1]);
    expect(whole.turnsOf(members)).toEqual({ places: whole.wheel, skips: null });
    const { places, skips } = whole.turnsOf([members[0]!, members[2]!]);
    expect([...places]).toEqual([0, 0, 1, 1, 0]);
    expect([...skips!]).toEqual([1, 0, 1, 0, 2]);
  });

  it("is not exact where its wheel would be scaled down", () => {
    const levelOf = (...weights: number[]) => new WholeLevel(weights.map((weight) => testEndpoint({ weight })));
    expect(levelOf(65_535, 1, 2).isExact).toBe(false);
    expect(levelOf(65_535, 13_107).isExact).toBe(true);
  });
});

describe("round-robin, while endpoints go and return", () => {
  const anyCase = fc.record({
    staying: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
    flapping: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
    // For each pick: by which of two workers, and who changes before it.
    steps: fc.array(fc.record({ worker: fc.nat(1), changes: fc.option(fc.nat(3), { nil: null, freq: 4 }) }), {
      minLength: 200,
      maxLength: 600,
    }),
  });

  it("gives those that stay their weights in every turn of theirs, wherever it begins and whatever changes in it", () => {
    fc.assert(
      fc.property(anyCase, ({ staying, flapping, steps }) => {
        const weights = [...staying, ...flapping];
        const set = testSet(weights.map((weight, row) => testEndpoint({ row, port: 9_000 + row, weight })));
        const state = new FakeEndpointState();
        const pickers = [createPicker(testPool(), set, state), createPicker(testPool(), set, state)];
        const rows: number[] = [];
        for (const { worker, changes } of steps) {
          const row = changes === null ? null : staying.length + (changes % flapping.length);
          if (row !== null) state.isOut(row) ? state.readmit(row) : state.set(row, "ejected");
          const picked = pickers[worker]!.pick(question)!.row;
          if (picked < staying.length) rows.push(picked);
        }
        const divisor = weights.reduce(greatestCommonDivisor, 0);
        const wanted = staying.map((weight) => weight / divisor);
        const turn = wanted.reduce((sum, weight) => sum + weight, 0);
        for (let from = 0; from + turn <= rows.length; from++)
          expect(countsOf(rows.slice(from, from + turn), staying.length)).toEqual(wanted);
      }),
      { numRuns: 200 },
    );
  });
});

function countsOf(rows: readonly number[], endpointCount: number): number[] {
  const counts = Array<number>(endpointCount).fill(0);
  for (const row of rows) counts[row]!++;
  return counts;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

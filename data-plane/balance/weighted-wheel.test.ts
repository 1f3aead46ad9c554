import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { weightedWheel, wheelTurnsMax } from "./weighted-wheel.ts";

describe("weightedWheel", () => {
  it.each([
    { name: "alternates between equal weights", weights: [1, 1], want: [0, 1] },
    { name: "spreads a heavy endpoint's turns", weights: [3, 1], want: [0, 0, 1, 0] },
    { name: "reduces weights by their common divisor", weights: [100, 50], want: [0, 1, 0] },
    { name: "rotates among equals beside a heavy one", weights: [3, 1, 1, 1], want: [0, 1, 0, 2, 3, 0] },
    { name: "has one turn for one endpoint", weights: [65_535], want: [0] },
    { name: "is empty without endpoints", weights: [], want: [] },
  ])("$name", ({ weights, want }) => {
    expect([...weightedWheel(weights)]).toEqual(want);
  });

  const smallWeights = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 });

  it("visits every endpoint exactly in proportion to its weight", () => {
    fc.assert(
      fc.property(smallWeights, (weights) => {
        const wheel = weightedWheel(weights);
        const visits = visitsOf(wheel, weights.length);
        for (const [i, weight] of weights.entries()) expect(visits[i]! * sum(weights)).toBe(weight * wheel.length);
      }),
    );
  });

  it("gives the order of smooth weighted round-robin, endpoint by endpoint", () => {
    fc.assert(
      fc.property(smallWeights, (weights) => {
        const wheel = [...weightedWheel(weights)];
        expect(wheel).toEqual(smoothOrder(weights, wheel.length));
      }),
    );
  });

  it.each([
    { name: "two coprime weights", weights: [65_535, 65_534] },
    { name: "a very light endpoint", weights: [65_535, 1] },
    { name: "many very light endpoints", weights: [65_535, ...Array<number>(5_000).fill(1)] },
    { name: "a hundred different weights", weights: Array.from({ length: 100 }, (_, i) => 60_000 + i * 37) },
  ])("is scaled to its longest for $name, within a turn of the exact proportions", ({ weights }) => {
    const wheel = weightedWheel(weights);
    expect(wheel.length).toBe(wheelTurnsMax);
    const visits = visitsOf(wheel, weights.length);
    const lightCount = weights.filter((weight) => (weight / sum(weights)) * wheelTurnsMax < 1).length;
    for (const [i, weight] of weights.entries()) {
      expect(visits[i]).toBeGreaterThanOrEqual(1);
      expect(Math.abs(visits[i]! - (weight / sum(weights)) * wheelTurnsMax)).toBeLessThan(1 + lightCount);
    }
  });

  it("still visits every endpoint when there are more of them than turns", () => {
    const wheel = weightedWheel(Array.from({ length: 12_000 }, (_, i) => (i % 7) + 1));
    expect(new Set(wheel).size).toBe(12_000);
  });
});

/** The textbook form: every turn all earn their weight, the richest is visited and pays a whole round. */
function smoothOrder(weights: readonly number[], turns: number): number[] {
  const credits = weights.map(() => 0);
  return Array.from({ length: turns }, () => {
    for (const [i, weight] of weights.entries()) credits[i]! += weight;
    const best = credits.indexOf(Math.max(...credits));
    credits[best]! -= sum(weights);
    return best;
  });
}

function visitsOf(wheel: Uint16Array, endpointCount: number): number[] {
  const visits = Array<number>(endpointCount).fill(0);
  for (const endpoint of wheel) visits[endpoint]!++;
  return visits;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

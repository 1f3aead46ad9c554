import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addShares, lowestTerms, type WeightShare, weightMax, wholeWeights } from "./whole-weights.ts";

const share = (numerator: number, denominator = 1): WeightShare => ({ numerator, denominator });

describe("wholeWeights", () => {
  it.each([
    { name: "leaves whole weights as they are", shares: [share(100), share(50)], want: [100, 50] },
    { name: "makes fractions whole", shares: [share(100, 3), share(100, 2)], want: [200, 300] },
    { name: "divides what became too large", shares: [share(66_000), share(100)], want: [660, 1] },
    { name: "rounds what cannot be exact", shares: [share(131_070), share(65_537)], want: [65_535, 32_769] },
    { name: "leaves the smallest a weight of 1", shares: [share(65_535, 1), share(1, 65_535)], want: [65_535, 1] },
    { name: "leaves 0 as it is", shares: [share(0), share(66_000), share(100)], want: [0, 660, 1] },
    {
      name: "leaves 0 where others are rounded",
      shares: [share(0), share(131_070), share(65_537)],
      want: [0, 65_535, 32_769],
    },
    { name: "has nothing but 0 where that is all", shares: [share(0), share(0)], want: [0, 0] },
    { name: "has none of none", shares: [], want: [] },
  ])("$name", ({ shares, want }) => {
    expect(wholeWeights(shares)).toEqual(want);
  });

  it("stays within bounds and in proportion, whatever the shares", () => {
    const anyShare = fc.record({
      numerator: fc.integer({ min: 1, max: 2 ** 32 }),
      denominator: fc.integer({ min: 1, max: 2 ** 32 }),
    });
    fc.assert(
      fc.property(fc.array(anyShare, { minLength: 1, maxLength: 50 }), (shares) => {
        const weights = wholeWeights(shares);
        const ratios = shares.map(({ numerator, denominator }) => numerator / denominator);
        const scale = Math.max(...weights) / Math.max(...ratios);
        for (const [i, weight] of weights.entries()) {
          expect(Number.isInteger(weight) && weight >= 1 && weight <= weightMax).toBe(true);
          expect(Math.abs(weight - ratios[i]! * scale)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it("is exact for small fractions", () => {
    const small = fc.record({
      numerator: fc.integer({ min: 1, max: 100 }),
      denominator: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(small, { minLength: 1, maxLength: 20 }), (shares) => {
        const weights = wholeWeights(shares);
        for (const [i, { numerator, denominator }] of shares.entries()) {
          const first = shares[0]!;
          expect(weights[i]! * denominator * first.numerator).toBe(weights[0]! * numerator * first.denominator);
        }
      }),
    );
  });
});

describe("addShares", () => {
  it.each([
    { a: share(1, 2), b: share(1, 2), want: share(2, 2) },
    { a: share(1, 2), b: share(1, 3), want: share(5, 6) },
    { a: share(1, 6), b: share(1, 3), want: share(1, 2) },
  ])("adds $a and $b", ({ a, b, want }) => {
    expect(addShares(a, b)).toEqual(want);
  });
});

describe("lowestTerms", () => {
  it("divides both by what they share", () => {
    expect(lowestTerms(6, 4)).toEqual(share(3, 2));
  });
});

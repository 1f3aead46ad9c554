import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faded, observed } from "./peak-ewma.ts";

describe("observed", () => {
  it.each([
    { name: "the first as it is", previousUs: 0, ageMs: 0, sampleUs: 1_234.4, want: 1_234 },
    { name: "a slower one at once", previousUs: 1_000, ageMs: 1, sampleUs: 200_000, want: 200_000 },
    {
      name: "next to nothing of a faster one at the same moment",
      previousUs: 200_000,
      ageMs: 0,
      sampleUs: 1_000,
      want: 200_000,
    },
    {
      name: "a third of the former after the time constant",
      previousUs: 100_000,
      ageMs: 2_500,
      sampleUs: 1,
      want: 36_789,
    },
    { name: "nothing of the former after a long time", previousUs: 100_000, ageMs: 60_000, sampleUs: 500, want: 500 },
    { name: "no age below 0", previousUs: 1_000, ageMs: -5, sampleUs: 10, want: 1_000 },
    { name: "at least a microsecond, which 0 is not", previousUs: 0, ageMs: 0, sampleUs: 0.1, want: 1 },
  ])("takes $name", ({ previousUs, ageMs, sampleUs, want }) => {
    expect(observed(previousUs, ageMs, sampleUs)).toBe(want);
  });

  it("lies between the former and the new one, nearer to the new one the longer ago the former was", () => {
    const us = fc.integer({ min: 1, max: 1e9 });
    fc.assert(
      fc.property(us, us, fc.nat(100_000), fc.nat(100_000), (previousUs, sampleUs, ageMs, moreMs) => {
        const sooner = observed(previousUs, ageMs, sampleUs);
        const later = observed(previousUs, ageMs + moreMs, sampleUs);
        expect(sooner).toBeGreaterThanOrEqual(Math.min(previousUs, sampleUs));
        expect(sooner).toBeLessThanOrEqual(Math.max(previousUs, sampleUs));
        expect(Math.abs(later - sampleUs)).toBeLessThanOrEqual(Math.abs(sooner - sampleUs));
      }),
    );
  });
});

describe("faded", () => {
  it("counts all of what was observed now, and less and less of it later", () => {
    expect(faded(100, 0)).toBe(100);
    expect(faded(100, -3)).toBe(100);
    expect(faded(100, 2_500)).toBeCloseTo(100 / Math.E);
    expect(faded(100, 12_000)).toBeLessThan(1);
  });
});

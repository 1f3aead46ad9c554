import { describe, expect, it } from "vitest";
import { LoadShedder } from "./load-shedder.ts";

/** A second of lag, sampled as the loop comes round. */
function second(shedder: LoadShedder, lagMs: number, elapsedMs = 50 + lagMs): void {
  for (let spentMs = 0; spentMs < 1_000 || spentMs < 3 * elapsedMs; spentMs += elapsedMs)
    shedder.sampleLag(elapsedMs, lagMs);
}

/** Of so many requests, how many are refused. */
function refused(shedder: LoadShedder, count: number): number {
  let refusals = 0;
  for (let i = 0; i < count; i++) if (shedder.refusesNext()) refusals++;
  return refusals;
}

describe("LoadShedder", () => {
  it("refuses nothing while the loop keeps up", () => {
    const shedder = new LoadShedder({ lagMs: 100 });
    for (let i = 0; i < 10; i++) second(shedder, 20);
    expect(shedder.ratio).toBe(0);
  });

  it.each([350, 2_000, 20_000])("takes a single pause of %d ms for what it is", (pauseMs) => {
    const shedder = new LoadShedder({ lagMs: 100 });
    for (let i = 0; i < 5; i++) {
      shedder.sampleLag(pauseMs + 50, pauseMs);
      second(shedder, 5);
    }
    expect(shedder.ratio).toBe(0);
  });

  it("refuses more and more while the lag stays, never all, and just the share that it says", () => {
    const shedder = new LoadShedder({ lagMs: 100 });
    const ratios = Array.from({ length: 10 }, () => {
      second(shedder, 300);
      return shedder.ratio;
    });
    expect(ratios[0]).toBeCloseTo(0.15);
    expect(ratios.toSorted((a, b) => a - b)).toEqual(ratios);
    expect(ratios.at(-1)).toBe(0.95);
    // Sums of fractions are a little off in binary.
    expect(Math.abs(refused(shedder, 1_000) - 950)).toBeLessThanOrEqual(1);
  });

  it("holds its share between half the threshold and all of it, and lets go below", () => {
    const shedder = new LoadShedder({ lagMs: 100 });
    for (let i = 0; i < 4; i++) second(shedder, 300);
    const before = shedder.ratio;
    second(shedder, 70);
    expect(shedder.ratio).toBe(before);
    second(shedder, 10);
    expect(shedder.ratio).toBe(before / 2);
    for (let i = 0; i < 6; i++) second(shedder, 10);
    expect([shedder.ratio, refused(shedder, 100)]).toEqual([0, 0]);
  });

  it("refuses for want of memory, whatever the lag", () => {
    const shedder = new LoadShedder({ lagMs: 100 });
    shedder.setMemoryRatio(1);
    expect(refused(shedder, 10)).toBe(10);
    second(shedder, 5);
    expect(shedder.ratio).toBe(1);
    shedder.setMemoryRatio(0);
    expect(refused(shedder, 10)).toBe(0);
  });
});

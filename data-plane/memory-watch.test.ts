import { describe, expect, it } from "vitest";
import { shedRatio, systemMemoryLimit, watchMemory } from "./memory-watch.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

describe("shedRatio", () => {
  it.each([
    { used: 0.5, was: false, want: 0 },
    { used: 0.89, was: false, want: 0 },
    { used: 0.901, was: false, want: 0.1 },
    { used: 0.925, was: false, want: 0.5 },
    { used: 0.96, was: false, want: 1 },
    { used: 0.87, was: true, want: 0.1 },
    { used: 0.849, was: true, want: 0 },
  ])("is $want with $used in use of which 0.9 is too much (refusing before: $was)", ({ used, was, want }) => {
    expect(shedRatio(used, 0.9, was)).toBeCloseTo(want);
  });
});

describe("watchMemory", () => {
  it("tells the share when it changes, and each turn once", async () => {
    const timers = new FakeTimers();
    const told: string[] = [];
    let used = 50;
    const end = watchMemory({
      limitBytes: 100,
      shedShare: 0.9,
      timers,
      residentBytes: () => used,
      onRatio: (ratio) => told.push(ratio.toFixed(1)),
      onShort: () => told.push("short"),
      onRecovered: () => told.push("recovered"),
    });
    for (const next of [50, 99, 99, 87, 80, 80]) {
      used = next;
      await timers.pass(250);
    }
    expect(told).toEqual(["1.0", "short", "0.1", "0.0", "recovered"]);
    end();
    used = 99;
    await timers.pass(1_000);
    expect(told).toHaveLength(5);
  });
});

describe("systemMemoryLimit", () => {
  it("is what this process may use at most", () => {
    expect(systemMemoryLimit()).toBeGreaterThan(process.memoryUsage.rss());
    expect(Number.isSafeInteger(systemMemoryLimit())).toBe(true);
  });
});

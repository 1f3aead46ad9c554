import { describe, expect, it } from "vitest";
import { WorkerLosses } from "./worker-losses.ts";

/** What is said of each of the losses at these ticks. */
function lossesAt(...ticks: readonly number[]) {
  const losses = new WorkerLosses();
  return ticks.map((tick) => losses.add(tick));
}

describe("WorkerLosses", () => {
  it("blames a configuration for the losses of the last minute alone", () => {
    const counts = lossesAt(0, 30, 59, 60, 200).map(({ withinMinuteOnConfig }) => withinMinuteOnConfig);
    // At 60 the first is a minute old, and counts no more.
    expect(counts).toEqual([1, 2, 3, 3, 1]);
  });

  it("blames one that has just come for nothing", () => {
    const losses = new WorkerLosses();
    losses.add(0);
    losses.add(1);
    losses.configChanged();
    expect(losses.add(2).withinMinuteOnConfig).toBe(1);
  });

  it("waits for longer each time, up to 5 s, and not at all after a calm minute", () => {
    const delays = lossesAt(0, 1, 2, 3, 4, 5, 6, 7, 8, 68).map(({ delayMs }) => delayMs);
    expect(delays).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 0]);
  });
});

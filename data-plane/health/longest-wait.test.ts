import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LongestWait } from "./longest-wait.ts";

describe("LongestWait", () => {
  it("is nothing before the first wait", () => {
    expect(new LongestWait().longestMs(1_000)).toBe(0);
  });

  it("remembers the longest for five minutes, to half a minute, and then forgets it", () => {
    const waits = new LongestWait();
    waits.add(900, 1_000);
    waits.add(50, 200_000);
    expect(waits.longestMs(270_000)).toBe(900);
    expect(waits.longestMs(330_000)).toBe(50);
    expect(waits.longestMs(600_000)).toBe(0);
    expect(waits.count).toBe(2);
  });

  it("forgets all of it in a long silence", () => {
    const waits = new LongestWait();
    waits.add(900, 1_000);
    waits.add(5, 10_000_000);
    expect(waits.longestMs(10_000_000)).toBe(5);
  });

  it("agrees with a list of all waits, but for the bucket at the edge", () => {
    const steps = fc.array(fc.tuple(fc.nat(60_000), fc.nat(5_000)), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (list) => {
        const waits = new LongestWait();
        const all: { atMs: number; waitMs: number }[] = [];
        let nowMs = 0;
        for (const [passMs, waitMs] of list) {
          nowMs += passMs;
          waits.add(waitMs, nowMs);
          all.push({ atMs: nowMs, waitMs });
          const within = (ms: number) => Math.max(0, ...all.filter((w) => w.atMs > nowMs - ms).map((w) => w.waitMs));
          const longestMs = waits.longestMs(nowMs);
          expect(longestMs).toBeGreaterThanOrEqual(within(270_000));
          expect(longestMs).toBeLessThanOrEqual(within(300_000));
        }
      }),
    );
  });
});

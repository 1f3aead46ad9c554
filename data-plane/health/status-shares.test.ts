import { describe, expect, it } from "vitest";
import { StatusShares } from "./status-shares.ts";

function add(shares: StatusShares, row: number, good: number, bad: number, nowMs = 0): void {
  for (let i = 0; i < good; i++) shares.add(row, false, nowMs);
  for (let i = 0; i < bad; i++) shares.add(row, true, nowMs);
}

describe("StatusShares", () => {
  it.each([
    { name: "all bad, the other all good", own: [0, 20], other: [20, 0], want: true },
    { name: "half bad, the other all good", own: [10, 10], other: [20, 0], want: true },
    { name: "a little less", own: [11, 9], other: [20, 0], want: false },
    { name: "as bad as the other", own: [0, 20], other: [0, 20], want: false },
    { name: "too few", own: [0, 19], other: [20, 0], want: false },
    { name: "too few of the other", own: [0, 20], other: [4, 0], want: false },
  ] as const)("$name: $want", ({ own, other, want }) => {
    const shares = new StatusShares();
    add(shares, 1, own[0], own[1]);
    add(shares, 2, other[0], other[1]);
    expect(shares.isOutlying(1, 0)).toBe(want);
  });

  it("compares with all others together", () => {
    const shares = new StatusShares();
    add(shares, 1, 0, 20);
    add(shares, 2, 0, 20);
    add(shares, 3, 80, 0);
    expect([shares.isOutlying(1, 0), shares.isOutlying(3, 0)]).toEqual([true, false]);
  });

  it("forgets within five seconds", () => {
    const shares = new StatusShares();
    add(shares, 1, 0, 20);
    add(shares, 2, 20, 0);
    expect(shares.isOutlying(1, 2_600)).toBe(true);
    expect(shares.isOutlying(1, 5_001)).toBe(false);
  });

  it("forgets all of it in a long silence", () => {
    const shares = new StatusShares();
    add(shares, 1, 0, 20);
    add(shares, 2, 20, 0);
    add(shares, 1, 1, 0, 60_000);
    expect(shares.isOutlying(1, 60_000)).toBe(false);
  });
});

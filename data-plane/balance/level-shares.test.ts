import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { localShare, tierShares, wholeShare } from "./level-shares.ts";

const whole = { total: 100, usable: 100 };
const none = { total: 100, usable: 0 };
const part = (usable: number) => ({ total: 100, usable });

describe("tierShares", () => {
  it.each([
    { name: "the first tier everything", tiers: [whole, whole], threshold: 0, want: [10_000, 0] },
    {
      name: "the first one of which anything is left everything",
      tiers: [none, part(1), whole],
      threshold: 0,
      want: [0, 10_000, 0],
    },
    { name: "a tier at the threshold everything", tiers: [part(70), whole], threshold: 70, want: [10_000, 0] },
    { name: "one below it a share in proportion", tiers: [part(35), whole], threshold: 70, want: [5_000, 5_000] },
    {
      name: "tier by tier what is left over",
      tiers: [part(14), part(35), whole],
      threshold: 70,
      want: [2_000, 5_000, 3_000],
    },
    {
      name: "everything in proportion where all are below",
      tiers: [part(10), part(30)],
      threshold: 100,
      want: [1_000, 3_000],
    },
    { name: "a very small one something", tiers: [{ total: 1e9, usable: 1 }, whole], threshold: 100, want: [1, 9_999] },
    { name: "nobody anything where nothing is left", tiers: [none, none], threshold: 50, want: [0, 0] },
    { name: "nothing to no tiers", tiers: [], threshold: 50, want: [] },
  ])("gives $name", ({ tiers, threshold, want }) => {
    expect(tierShares(tiers, threshold)).toEqual(want);
  });

  it("gives no tier less when more of it can be used, and all together never more than everything", () => {
    const usables = fc.array(fc.nat(100), { minLength: 1, maxLength: 16 });
    fc.assert(
      fc.property(usables, fc.nat(100), fc.nat(15), (tiers, threshold, at) => {
        const shares = tierShares(tiers.map(part), threshold);
        const sum = shares.reduce((total, share) => total + share, 0);
        expect(sum).toBeLessThanOrEqual(wholeShare);
        for (const [i, share] of shares.entries()) expect(share > 0 && tiers[i] === 0).toBe(false);
        if (tiers.some((usable) => usable > 0)) expect(sum).toBeGreaterThan(0);
        const better = tiers.map((usable, i) => (i === at ? Math.min(100, usable + 10) : usable));
        if (at < tiers.length) expect(tierShares(better.map(part), threshold)[at]).toBeGreaterThanOrEqual(shares[at]!);
      }),
    );
  });
});

describe("localShare", () => {
  it.each([
    { name: "local ones everything above the threshold", share: 10_000, local: part(70), others: whole, want: 10_000 },
    { name: "local ones a share in proportion below it", share: 10_000, local: part(35), others: part(1), want: 5_000 },
    { name: "of a part of the requests the same", share: 4_000, local: part(35), others: whole, want: 2_000 },
    {
      name: "local ones everything where there are no others",
      share: 8_000,
      local: part(1),
      others: none,
      want: 8_000,
    },
    { name: "the others everything where no local one is left", share: 8_000, local: none, others: part(1), want: 0 },
    { name: "nobody anything of a tier that is not asked", share: 0, local: whole, others: whole, want: 0 },
    { name: "a small part to a small one", share: 1, local: part(1), others: whole, want: 1 },
  ])("gives $name", ({ share, local, others, want }) => {
    expect(localShare(share, local, others, 70)).toBe(want);
  });
});

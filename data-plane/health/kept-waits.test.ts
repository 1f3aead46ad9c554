import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Kept, KeptWaits } from "./kept-waits.ts";

interface Use extends Kept {
  isInUse: boolean;
}

function many(count: number) {
  const forgotten: number[] = [];
  const all = Array.from({ length: count }, (_, i): Use => {
    return { keptAt: -1, wasUsed: false, isInUse: false, forget: () => forgotten.push(i) };
  });
  return { all, forgotten };
}

function holding(all: readonly Use[], maxCount: number): KeptWaits {
  const kept = new KeptWaits(maxCount);
  for (const one of all.slice(0, maxCount)) kept.add(one);
  return kept;
}

describe("KeptWaits", () => {
  it("forgets what was not used lately when there are too many", () => {
    const { all, forgotten } = many(5);
    const kept = holding(all, 3);
    all[0]!.wasUsed = true;
    kept.add(all[3]!);
    kept.add(all[4]!);
    expect([forgotten, kept.count]).toEqual([[1, 2], 3]);
    expect(all.map(({ keptAt }) => keptAt >= 0)).toEqual([true, false, false, true, true]);
  });

  it("forgets nothing that is in use, and then has more", () => {
    const { all, forgotten } = many(4);
    for (const one of all) one.isInUse = true;
    const kept = holding(all, 3);
    kept.add(all[3]!);
    expect([forgotten, kept.count]).toEqual([[], 4]);
  });

  it("is back at its number when that is no longer used", () => {
    const { all, forgotten } = many(8);
    const kept = holding(all, 3);
    for (const one of all.slice(0, 6)) one.isInUse = true;
    for (const one of all.slice(3, 6)) kept.add(one);
    for (const one of all) one.isInUse = false;
    kept.add(all[6]!);
    expect(kept.count).toBe(3);
    expect(forgotten).toHaveLength(4);
  });

  it("looks at no more than 64 for each that comes", () => {
    const { all } = many(1_001);
    const kept = holding(all, 1_000);
    let looks = 0;
    for (const one of all) Object.defineProperty(one, "isInUse", { get: () => ++looks > 0 });
    kept.add(all[1_000]!);
    expect(looks).toBe(64);
  });

  it("keeps track of each, whatever comes, is used and goes", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom("add", "remove", "use"), fc.nat(9)), { maxLength: 100 });
    fc.assert(
      fc.property(steps, (list) => {
        const { all, forgotten } = many(10);
        const kept = new KeptWaits(4);
        const held = new Set<number>();
        for (const [what, i] of list) {
          const one = all[i]!;
          if (what === "use") one.wasUsed = true;
          else if (what === "remove") {
            kept.remove(one);
            held.delete(i);
          } else if (!held.has(i)) {
            forgotten.length = 0;
            kept.add(one);
            for (const gone of forgotten) held.delete(gone);
            held.add(i);
          }
          expect(all.flatMap(({ keptAt }, at) => (keptAt >= 0 ? [at] : []))).toEqual([...held].sort());
          expect(kept.count).toBe(held.size);
          expect(kept.count).toBeLessThanOrEqual(4);
        }
      }),
    );
  });
});

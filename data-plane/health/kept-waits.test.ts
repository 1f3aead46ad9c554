import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Kept, KeptWaits } from "./kept-waits.ts";

function many(count: number) {
  const forgotten: number[] = [];
  const all = Array.from({ length: count }, (_, i): Kept => {
    return { previousKept: null, nextKept: null, isKept: false, forget: () => forgotten.push(i) };
  });
  return { all, forgotten };
}

describe("KeptWaits", () => {
  it("forgets what was used longest ago when there are too many", () => {
    const kept = new KeptWaits(3);
    const { all, forgotten } = many(5);
    for (const one of all.slice(0, 3)) kept.keep(one);
    kept.release(all[0]!);
    kept.keep(all[0]!);
    kept.keep(all[3]!);
    kept.keep(all[4]!);
    expect([forgotten, kept.count]).toEqual([[1, 2], 3]);
    expect(all.map(({ isKept }) => isKept)).toEqual([true, false, false, true, true]);
  });

  it("does as a list does, whatever comes and goes", () => {
    const uses = fc.array(fc.nat(9), { maxLength: 80 });
    fc.assert(
      fc.property(uses, (picks) => {
        const kept = new KeptWaits(4);
        const { all, forgotten } = many(10);
        const list: number[] = [];
        const gone: number[] = [];
        for (const pick of picks) {
          const at = list.indexOf(pick);
          if (at >= 0) {
            list.splice(at, 1);
            kept.release(all[pick]!);
          } else {
            list.push(pick);
            if (list.length > 4) gone.push(list.shift()!);
            kept.keep(all[pick]!);
          }
          expect([kept.count, forgotten]).toEqual([list.length, gone]);
          expect(all.flatMap(({ isKept }, i) => (isKept ? [i] : []))).toEqual([...list].sort());
        }
      }),
    );
  });
});

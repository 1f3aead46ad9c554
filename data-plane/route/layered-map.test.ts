import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LayeredMap } from "./layered-map.ts";

function flat<V>(map: LayeredMap<V>): LayeredMap<V> {
  const steps = map.flatSteps();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

describe("LayeredMap", () => {
  it("is the map that its edits make of it, and none of them changes another", () => {
    const key = fc.nat(400).map((n) => `host-${n}.test`);
    const edits = fc.array(fc.array(fc.tuple(key, fc.option(fc.nat(9))), { maxLength: 200 }), { maxLength: 5 });
    fc.assert(
      fc.property(edits, fc.boolean(), (rounds, isFlattened) => {
        const want = new Map<string, number>();
        let map = new LayeredMap<number>();
        for (const round of rounds) {
          const [former, formerWant] = [map, new Map(want)];
          const edit = map.edit();
          for (const [name, value] of round) {
            if (value === null) edit.delete(name);
            else edit.set(name, value);
            if (value === null) want.delete(name);
            else want.set(name, value);
            expect(edit.get(name)).toBe(want.get(name));
          }
          map = isFlattened ? flat(edit.finish()) : edit.finish();
          for (const [made, wanted] of [[map, want] as const, [former, formerWant] as const]) {
            expect(made.size).toBe(wanted.size);
            for (let n = 0; n <= 400; n++) expect(made.get(`host-${n}.test`)).toBe(wanted.get(`host-${n}.test`));
          }
        }
      }),
    );
  });

  it("says when so much was changed that it should be made flat", () => {
    const first = new LayeredMap<number>().edit();
    for (let n = 0; n < 2_000; n++) first.set(`host-${n}.test`, n);
    let map = first.finish();
    expect(map.isThick).toBe(false);
    for (let n = 0; n < 300; n++) {
      expect(map.isThick).toBe(n > 256);
      const edit = map.edit();
      edit.set(`host-${n}.test`, -n);
      map = edit.finish();
    }
    expect(flat(map).isThick).toBe(false);
    expect(flat(map).get("host-299.test")).toBe(-299);
  });
});

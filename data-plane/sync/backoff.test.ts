import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs, shuffled } from "./backoff.ts";

const bounds = { firstMaxMs: 200, maxMs: 10_000 };

describe("backoffMs", () => {
  it.each([
    { failureCount: 0, boundMs: 200 },
    { failureCount: 1, boundMs: 400 },
    { failureCount: 5, boundMs: 6_400 },
    { failureCount: 6, boundMs: 10_000 },
    { failureCount: 1_000, boundMs: 10_000 },
  ])("spreads over 0 to $boundMs ms after $failureCount failures", ({ failureCount, boundMs }) => {
    expect(backoffMs(failureCount, 0, bounds)).toBe(0);
    expect(backoffMs(failureCount, 0.5, bounds)).toBe(boundMs / 2);
  });
});

describe("shuffled", () => {
  it("keeps every item and leaves its argument alone", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        (items, randoms) => {
          const before = [...items];
          const order = shuffled(items, () => randoms.next().value);
          expect(items).toEqual(before);
          expect(order.toSorted()).toEqual(before.toSorted());
        },
      ),
    );
  });

  it("puts any item first", () => {
    expect(shuffled(["a", "b", "c"], () => 0)[0]).toBe("b");
    expect(shuffled(["a", "b", "c"], () => 0.999)[0]).toBe("a");
  });
});

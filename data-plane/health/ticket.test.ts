import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isBefore, ticketAfter } from "./ticket.ts";

describe("tickets", () => {
  it.each([
    { last: 0, next: 1 },
    { last: 41, next: 42 },
    { last: 0x7fffffff, next: -0x80000000 },
    { last: -1, next: 1 },
  ])("after $last comes $next, and 0 never does", ({ last, next }) => {
    expect(ticketAfter(last)).toBe(next);
  });

  it("tell which of two was first, wherever the numbers go round", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -0x80000000, max: 0x7fffffff }),
        fc.integer({ min: 1, max: 1_000 }),
        (from, count) => {
          let later = ticketAfter(from);
          const first = later;
          for (let i = 0; i < count; i++) later = ticketAfter(later);
          expect([isBefore(first, later), isBefore(later, first), isBefore(first, first)]).toEqual([
            true,
            false,
            false,
          ]);
        },
      ),
    );
  });
});

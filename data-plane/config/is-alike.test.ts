import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAlike } from "./is-alike.ts";

describe("isAlike", () => {
  it("takes copies for the same, whatever is in them", () => {
    fc.assert(fc.property(fc.jsonValue(), (data) => isAlike(data, structuredClone(data))));
  });

  it("says of any two pieces what their texts say", () => {
    const small = fc.letrec((tie) => ({
      data: fc.oneof(
        { maxDepth: 2 },
        fc.constantFrom<unknown>(null, 0, 1, "", "a", true),
        fc.array(tie("data"), { maxLength: 2 }),
        fc.dictionary(fc.constantFrom("a", "b"), tie("data"), { maxKeys: 2, noNullPrototype: true }),
      ),
    })).data;
    const text = (data: unknown): string =>
      JSON.stringify(data, (_, value) =>
        value !== null && typeof value === "object" && !Array.isArray(value)
          ? Object.fromEntries(Object.entries(value).sort())
          : value,
      );
    fc.assert(
      fc.property(small, small, (one, other) => isAlike(one, other) === (text(one) === text(other))),
      { numRuns: 2_000 },
    );
  });

  it.each([
    { name: "bytes that differ", one: new Uint8Array([1, 2]), other: new Uint8Array([1, 3]) },
    { name: "bytes and a list of the same numbers", one: new Uint8Array([1]), other: [1] },
    { name: "a list and an object with its items", one: ["a"], other: { 0: "a" } },
    { name: "an object and a list of its items", one: { 0: "a" }, other: ["a"] },
    { name: "a field more", one: { a: 1 }, other: { a: 1, b: undefined } },
    { name: "a field less", one: { a: 1, b: undefined }, other: { a: 1 } },
    { name: "null and an object", one: null, other: {} },
  ])("tells $name apart", ({ one, other }) => {
    expect(isAlike(one, other)).toBe(false);
  });

  it("takes equal bytes for the same", () => {
    expect(isAlike({ a: new Uint8Array([1, 2]) }, { a: new Uint8Array([1, 2]) })).toBe(true);
  });
});

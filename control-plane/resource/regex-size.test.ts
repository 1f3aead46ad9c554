import fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import { regexSize } from "./regex-size.ts";

/** Regular expressions that compile, of every construct that a step or a repeat can be. */
const regex = fc.letrec<{ all: string; atom: string; piece: string }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("a", ".", "é", "\\d", "\\.", "\\p{Greek}", "\\pN", "\\x{10FFFF}", "\\x41", "^", "\\b"),
    fc.constantFrom("[a-z]", "[^]a]", "[]{3}]", "[[:alpha:]()]", "[\\]a(]", "\\Q({9}\\E", "\\Q)\\E", "{", "{,3}"),
    tie("all").map((inner) => `(${inner})`),
    tie("all").map((inner) => `(?:${inner})`),
    tie("all").map((inner) => `(?i:${inner})`),
  ),
  piece: fc
    .tuple(tie("atom"), fc.constantFrom("", "", "*", "+?", "?", "{0}", "{7}", "{3,}", "{2,9}", "{0,4}?"))
    .map(([atom, repeat]) => (repeat !== "" && /^[{^]|^\\b$/.test(atom) ? atom : atom + repeat)),
  all: fc.oneof(
    { maxDepth: 4 },
    tie("piece"),
    fc.array(tie("piece"), { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("")),
    fc.array(tie("piece"), { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join("|")),
  ),
})).all;

describe("regexSize", () => {
  it.each([
    { text: "", want: 0 },
    { text: "/a/b", want: 4 },
    { text: "(ab){1000}", want: 4000 },
    { text: "((a{10}){10}){10}", want: 1220 },
    { text: "a{1000}a{1000}", want: 2000 },
    { text: "\\p{L}{1000}", want: 1000 },
    { text: "[({1000}]", want: 1 },
    { text: "\\Q(ab\\E", want: 3 },
    { text: "a{", want: 2 },
    { text: "((", want: 0 },
    { text: "))", want: 2 },
    { text: "[", want: 1 },
    { text: "\\", want: 1 },
  ])("of $text is $want", ({ text, want }) => {
    expect(regexSize(text)).toBe(want);
  });

  it("is never less than what the engine makes of an expression", () => {
    fc.assert(
      fc.property(regex, (text) => {
        let program: { programSize(): number };
        try {
          program = RE2JS.compile(text);
        } catch {
          return fc.pre(false);
        }
        // The engine's own two steps, and one for a part that is empty.
        expect(regexSize(text) + 3).toBeGreaterThanOrEqual(program.programSize());
      }),
      { numRuns: 1000 },
    );
  });
});

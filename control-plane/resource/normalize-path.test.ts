import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalizePath } from "./normalize-path.ts";

describe("normalizePath", () => {
  it.each([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a/./b", "/a/b"],
    ["/a/../b", "/b"],
    ["/../../a", "/a"],
    ["/a/.", "/a/"],
    ["/a/b/..", "/a/"],
    ["/a//b///c", "/a/b/c"],
    ["/%41%7e", "/A~"],
    ["/%2e%2e/a", "/a"],
    ["/a%2fb", "/a%2Fb"],
    ["/円", "/%E5%86%86"],
    ["/a b{c}", "/a%20b%7Bc%7D"],
    ["/🙂", "/%F0%9F%99%82"],
  ])("makes %s into %s", (path, want) => {
    expect(normalizePath(path)).toBe(want);
  });

  it("leaves what it made as it is", () => {
    const piece = fc.constantFrom("/", ".", "..", "a", "%2e", "%2F", "%41", " ", "円", "~", "+");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = normalizePath(`/${pieces.join("")}`);
        expect(normalizePath(once)).toBe(once);
        expect(once).toMatch(/^\/(?!.*\/\/)(?!.*\/\.\.?(\/|$))/);
      }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { checkNodeSelector, nodeMatcher, selectorText } from "./node-selector.ts";

describe("nodeMatcher", () => {
  const labels = { zone: "eu", tier: "edge", empty: "" };

  it.each([
    { selector: [], matches: true },
    { selector: ["zone=eu"], matches: true },
    { selector: ["zone=us"], matches: false },
    { selector: ["zone=us", "zone=eu"], matches: true },
    { selector: ["zone=us", "zone=eu", "tier=core"], matches: false },
    { selector: ["zone=eu", "tier=edge"], matches: true },
    { selector: ["zone!=us"], matches: true },
    { selector: ["zone!=us", "zone!=eu"], matches: false },
    { selector: ["rack!=1"], matches: true },
    { selector: ["rack"], matches: false },
    { selector: ["!rack"], matches: true },
    { selector: ["!zone"], matches: false },
    { selector: ["empty"], matches: true },
    { selector: ["empty="], matches: true },
    { selector: ["zone="], matches: false },
    { selector: ["toString"], matches: false },
    { selector: ["what is that"], matches: false },
  ])("$selector: $matches", ({ selector, matches }) => {
    expect(nodeMatcher(selector)(labels)).toBe(matches);
  });
});

describe("checkNodeSelector", () => {
  it("takes every kind of term", () => {
    expect(checkNodeSelector(["a.b/c-d_e=x y=z!", "zone!=eu", "canary", "!gpu", "zone="])).toEqual([]);
  });

  it("names every term that is none", () => {
    const problems = checkNodeSelector(["zone=eu", "", "a b", "!zone=eu", "=eu", "é=1", `k=${"v".repeat(256)}`]);
    expect(problems.map(({ field }) => field)).toEqual([1, 2, 3, 4, 5, 6].map((i) => `node_selector.${i}`));
    expect(problems[1]!.message).toMatch(/^invalid term 'a b': expected key=value/);
  });

  it.each([
    { selector: ["zone", "!zone"], at: [1] },
    { selector: ["!zone", "zone=eu"], at: [1] },
    { selector: ["zone=eu", "zone!=eu"], at: [1] },
    { selector: ["zone=eu", "tier=edge", "zone!=eu", "!tier"], at: [2, 3] },
    { selector: ["zone=eu", "zone=us", "zone!=eu"], at: [] },
    { selector: ["zone!=eu", "!zone"], at: [] },
  ])("says which terms leave no node: $selector", ({ selector, at }) => {
    expect(checkNodeSelector(selector).map(({ field }) => field)).toEqual(at.map((i) => `node_selector.${i}`));
  });
});

describe("selectorText", () => {
  it("is one for the same terms", () => {
    expect(selectorText(["b", "a=1", "b"])).toBe(selectorText(["a=1", "b"]));
    expect(selectorText(["a=1"])).not.toBe(selectorText(["a=2"]));
    expect(selectorText([])).toBe("");
  });
});

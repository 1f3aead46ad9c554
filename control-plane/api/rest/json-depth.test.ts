import { describe, expect, it } from "vitest";
import { isDeeperThan } from "./json-depth.ts";

describe("isDeeperThan", () => {
  it.each([
    { json: "{}", depth: 1, want: false },
    { json: '{"a":[1]}', depth: 1, want: true },
    { json: '{"a":[1],"b":[2]}', depth: 2, want: false },
    { json: '{"a":"[[[["}', depth: 1, want: false },
    { json: '{"a":"\\"[[[["}', depth: 1, want: false },
    { json: '{"a":"\\\\","b":[[]]}', depth: 2, want: true },
    { json: '{"a":"', depth: 1, want: false },
    { json: "]]]][[", depth: 1, want: false },
  ])("says $want of $json at $depth", ({ json, depth, want }) => {
    expect(isDeeperThan(Buffer.from(json), depth)).toBe(want);
  });
});

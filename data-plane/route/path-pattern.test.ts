import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { checkHeaderPattern, checkPathPattern, compilePathPattern, literalPrefix } from "./path-pattern.ts";

describe("compilePathPattern", () => {
  it.each([
    ["~/user/\\d+", "/user/123/x", 9],
    ["~/user/\\d+", "/user/x", -1],
    ["~/user", "/a/user", -1],
    ["~/a|/bb", "/bb", 3],
    ["~/a|/bb", "/x/bb", -1],
    ["~/(?<name>[a-z]+)$", "/abc", 4],
    ["~/(?<name>[a-z]+)$", "/abc/", -1],
  ])("%s on %s covers %d characters", (pattern, path, want) => {
    expect(compilePathPattern(pattern).matchedChars(path)).toBe(want);
  });

  it("takes linear time for a pattern that a backtracking matcher drowns in", () => {
    // 2^40 steps for a backtracking matcher: the test would never end.
    expect(compilePathPattern("~/(a+)+$").matchedChars(`/${"a".repeat(40)}!`)).toBe(-1);
  });
});

describe("path-pattern", () => {
  it("loads the expression engine with the first regular expression, not before", () => {
    const program = `
      import { createRequire } from "node:module";
      import { checkPathPattern } from ${JSON.stringify(new URL("./path-pattern.ts", import.meta.url).href)};
      const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("re2js"));
      const seen = [];
      for (const path of ["/plain", "~/a+"]) {
        checkPathPattern(path);
        seen.push(isLoaded());
      }
      console.log(JSON.stringify(seen));
    `;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: new URL(".", import.meta.url),
      encoding: "utf8",
    });
    expect(JSON.parse(output)).toEqual([false, true]);
  });
});

describe("checkPathPattern", () => {
  it.each(["/plain(", "~/ok/\\d+", "~/(?<n>x)"])("takes %s", (path) => {
    expect(checkPathPattern(path)).toBeNull();
  });

  it.each(["~/(", "~/a**", "~/[z-a]", "~/(?=look)"])("says why %s does not compile", (path) => {
    expect(checkPathPattern(path)).toMatch(/./);
  });
});

describe("checkHeaderPattern", () => {
  it("looks at values written ~* alone", () => {
    expect(checkHeaderPattern("(")).toBeNull();
    expect(checkHeaderPattern("~*a|b")).toBeNull();
    expect(checkHeaderPattern("~*(")).toMatch(/./);
  });
});

describe("literalPrefix", () => {
  it.each([
    ["~/user/\\d+", "/user/"],
    ["~/v1\\.0/x.y", "/v1.0/x"],
    ["~/ab*", "/a"],
    ["~/ab?c", "/a"],
    ["~/ab{2}", "/a"],
    ["~/a\\.*", "/a"],
    ["~/a|/b", ""],
    ["~/(a|b)/c", "/"],
    ["~/x(a)|b", ""],
    ["~/x[(]|b", ""],
    ["~/x$", "/x"],
    ["~/(?i)x", "/"],
    ["~/\\Qa\\E", "/"],
  ])("of %s is %j", (pattern, want) => {
    expect(literalPrefix(pattern)).toBe(want);
  });
});

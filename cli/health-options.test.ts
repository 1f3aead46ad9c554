import { describe, expect, it } from "vitest";
import { parseHealthOptions } from "./health-options.ts";

const options = { upstream: null, adminUrl: "http://localhost:8001", isWatching: false, isJson: false };

describe("parseHealthOptions", () => {
  it.each([
    { argv: [], env: {}, want: options },
    { argv: ["u", "--json"], env: {}, want: { ...options, upstream: "u", isJson: true } },
    { argv: ["--watch", "u"], env: {}, want: { ...options, upstream: "u", isWatching: true } },
    { argv: ["--admin", "https://a:1", "u"], env: {}, want: { ...options, upstream: "u", adminUrl: "https://a:1" } },
    { argv: ["--admin=http://a"], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://a" } },
    { argv: [], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://b" } },
    { argv: [], env: { PENSTOCK_ADMIN: "" }, want: options },
  ])("reads $argv with $env", ({ argv, env, want }) => {
    expect(parseHealthOptions(argv, env)).toEqual({ type: "options", options: want });
  });

  it("tells everything that is wrong at once", () => {
    expect(parseHealthOptions(["a", "b", "--wach", "--json=1", "-x", "--admin", "localhost:8001"], {})).toEqual({
      type: "problems",
      lines: [
        'unknown option "--wach"; see --help',
        'unknown option "--json=1"; see --help',
        'unknown option "-x"; see --help',
        '--admin: "localhost:8001" is not an http URL such as http://localhost:8001',
        'one upstream at most, not "a", "b"',
      ],
    });
    expect(parseHealthOptions(["--admin", "--json"], {})).toEqual({
      type: "problems",
      lines: ["--admin: needs a value, URL"],
    });
  });

  it("helps", () => {
    const parsed = parseHealthOptions(["u", "--help", "--wach"], {});
    expect(parsed.type === "help" && parsed.text).toMatch(/--admin URL[\s\S]*--watch[\s\S]*--json[\s\S]*Exit codes: 0/);
  });
});

import { describe, expect, it } from "vitest";
import { parseTopOptions } from "./top-options.ts";

const options = {
  ...{ upstream: null, adminUrl: "http://localhost:8001" },
  ...{ isOnce: false, isJson: false, sortBy: "name", byNode: false },
};

describe("parseTopOptions", () => {
  it.each([
    { argv: [], env: {}, want: options },
    { argv: ["u", "--json", "--once"], env: {}, want: { ...options, upstream: "u", isJson: true, isOnce: true } },
    { argv: ["--nodes", "u"], env: {}, want: { ...options, upstream: "u", byNode: true } },
    { argv: ["--sort", "p99", "u"], env: {}, want: { ...options, upstream: "u", sortBy: "p99" } },
    { argv: ["--sort=in-flight"], env: {}, want: { ...options, sortBy: "in-flight" } },
    { argv: ["--admin", "https://a:1"], env: {}, want: { ...options, adminUrl: "https://a:1" } },
    { argv: ["--admin=http://a"], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://a" } },
    { argv: [], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://b" } },
  ])("reads $argv with $env", ({ argv, env, want }) => {
    expect(parseTopOptions(argv, env)).toEqual({ type: "options", options: want });
  });

  it("tells everything that is wrong at once", () => {
    const argv = ["a", "b", "--onec", "--json=1", "-x", "--sort", "size", "--admin", "localhost:8001"];
    expect(parseTopOptions(argv, {})).toEqual({
      type: "problems",
      lines: [
        'unknown option "--onec"; see --help',
        'unknown option "--json=1"; see --help',
        'unknown option "-x"; see --help',
        '--admin: "localhost:8001" is not an http URL such as http://localhost:8001',
        'one upstream at most, not "a", "b"',
        '--sort: "size" is none of name, requests, errors, p99, in-flight',
      ],
    });
    expect(parseTopOptions(["--sort", "--admin"], {})).toEqual({
      type: "problems",
      lines: ["--sort: needs a value, name|requests|errors|p99|in-flight", "--admin: needs a value, URL"],
    });
  });

  it("helps", () => {
    const parsed = parseTopOptions(["u", "--help", "--onec"], {});
    const pattern = /--admin URL[\s\S]*--once[\s\S]*--json[\s\S]*--sort name\|[\s\S]*--nodes[\s\S]*Exit codes: 0/;
    expect(parsed.type === "help" && parsed.text).toMatch(pattern);
  });
});

import { describe, expect, it } from "vitest";
import { parseNodesOptions } from "./nodes-options.ts";

const options = { nodeId: null, adminUrl: "http://localhost:8001", isWatching: false, isJson: false };

describe("parseNodesOptions", () => {
  it.each([
    { argv: [], env: {}, want: options },
    { argv: ["--once"], env: {}, want: options },
    { argv: ["n1", "--json", "--watch"], env: {}, want: { ...options, nodeId: "n1", isJson: true, isWatching: true } },
    { argv: ["--admin=http://a"], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://a" } },
    { argv: [], env: { PENSTOCK_ADMIN: "http://b" }, want: { ...options, adminUrl: "http://b" } },
  ])("reads $argv with $env", ({ argv, env, want }) => {
    expect(parseNodesOptions(argv, env)).toEqual({ type: "options", options: want });
  });

  it("tells everything that is wrong at once", () => {
    expect(parseNodesOptions(["a", "b", "--wach", "--watch", "--once", "--admin", "localhost:8001"], {})).toEqual({
      type: "problems",
      lines: [
        'unknown option "--wach"; see --help',
        '--admin: "localhost:8001" is not an http URL such as http://localhost:8001',
        'one node at most, not "a", "b"',
        "--watch, --once: one of the two",
      ],
    });
  });

  it("explains itself", () => {
    expect(parseNodesOptions(["--help"], {})).toMatchObject({ type: "help" });
  });
});

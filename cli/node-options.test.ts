import { describe, expect, it } from "vitest";
import { parseNodeOptions } from "./node-options.ts";

describe("parseNodeOptions", () => {
  it("reads what a token is for", () => {
    const argv = ["token", "--ttl", "30m", "--label", "zone=eu", "--label=rack=a=b", "--node-id", "x"];
    expect(parseNodeOptions(argv, { PENSTOCK_ADMIN: "http://cp:1" })).toEqual({
      type: "command",
      adminUrl: "http://cp:1",
      command: { name: "token", ttlMs: 1_800_000, labels: { zone: "eu", rack: "a=b" }, nodeId: "x" },
    });
    expect(parseNodeOptions(["token"], {})).toMatchObject({ command: { ttlMs: null, labels: {}, nodeId: "" } });
  });

  it("reads the other commands", () => {
    expect(parseNodeOptions(["revoke", "n1", "--reason", "lost"], {})).toMatchObject({
      command: { name: "revoke", nodeId: "n1", reason: "lost" },
    });
    expect(parseNodeOptions(["forget", "n1"], {})).toMatchObject({ command: { name: "forget", nodeId: "n1" } });
    expect(parseNodeOptions(["refusals", "--admin=https://x"], {})).toMatchObject({ adminUrl: "https://x" });
    expect(parseNodeOptions(["token", "--help"], {})).toMatchObject({ type: "help" });
  });

  it.each<[string[], RegExp]>([
    [[], /needs one of token/],
    [["join"], /needs one of token/],
    [["revoke"], /needs the id/],
    [["token", "x"], /too many words/],
    [["revoke", "x", "y"], /too many words/],
    [["forget"], /forget: needs the id/],
    [["forget", "x", "--reason", "r"], /--reason: not for forget/],
    [["token", "--reason", "r"], /--reason: not for token/],
    [["token", "--ttl", "soon"], /is not a time/],
    [["token", "--ttl", "1.5h"], /is not a time/],
    [["token", "--ttl", "-1h"], /is not a time/],
    [["token", "--ttl", "99999999h"], /is not a time/],
    [["token", "--label", "zone"], /is not key=value/],
    [["token", "--ttl"], /needs a value/],
    [["token", "--zzz"], /unknown option/],
    [["token", "--admin", "x"], /is not an http URL/],
  ])("refuses %j", (argv, problem) => {
    const parsed = parseNodeOptions(argv, {});
    expect(parsed.type === "problems" && parsed.lines).toEqual([expect.stringMatching(problem)]);
  });
});

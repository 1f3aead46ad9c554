import { describe, expect, it } from "vitest";
import { parseRolloutOptions } from "./rollout-options.ts";

describe("parseRolloutOptions", () => {
  it.each<[string[], object]>([
    [[], { name: "status", watches: false }],
    [["status", "--watch"], { name: "status", watches: true }],
    [["pause"], { name: "pause" }],
    [["abort", "--reason", "no good"], { name: "abort", reason: "no good" }],
    [["policy"], { name: "policy", changes: {} }],
    [
      ["policy", "--mode=staged", "--stage", "1", "--stage", "10%", "--soak", "90s", "--error-tolerance", "0.02"],
      {
        name: "policy",
        changes: {
          mode: "staged",
          stages: [
            { nodeCount: 1, percent: 0 },
            { nodeCount: 0, percent: 10 },
          ],
          soakMs: 90_000,
          errorShareTolerance: 0.02,
        },
      },
    ],
  ])("reads %j", (argv, command) => {
    const parsed = parseRolloutOptions(argv, { PENSTOCK_ADMIN: "http://cp:1" });
    expect(parsed).toEqual({ type: "command", command, adminUrl: "http://cp:1" });
  });

  it("helps", () => {
    expect(parseRolloutOptions(["--help"], {})).toMatchObject({ text: expect.stringContaining("penstock rollout") });
  });

  it.each<[string[], RegExp]>([
    [["stop"], /there is no "stop"/],
    [["pause", "now"], /too many words/],
    [["pause", "--reason", "r"], /--reason: not for pause/],
    [["promote", "--watch"], /--watch: not for promote/],
    [["policy", "--stage", "some"], /is not a number of data planes/],
    [["policy", "--mode", "slow"], /is not immediate or staged/],
    [["policy", "--soak", "long"], /is not a time/],
    [["policy", "--soak", "0.3s"], /is not a time/],
    [["policy", "--apply-timeout", "-1s"], /is not a time/],
    [["policy", "--apply-timeout", "9999999999s"], /is not a time/],
    [["policy", "--min-requests", "1.5"], /is not a whole number/],
    [["policy", "--min-requests", "-1"], /is not a whole number/],
    [["policy", "--error-tolerance", "-1"], /is not a share/],
    [["--zzz"], /unknown option/],
    [["--admin", "x"], /is not an http URL/],
    [["abort", "--reason"], /needs a value/],
  ])("refuses %j", (argv, problem) => {
    const parsed = parseRolloutOptions(argv, {});
    expect(parsed.type === "problems" && parsed.lines).toEqual([expect.stringMatching(problem)]);
  });
});

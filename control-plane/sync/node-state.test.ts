import { describe, expect, it } from "vitest";
import { judgeNode, type NodeCondition } from "./node-state.ts";
import { PublicationTimes } from "./publication-times.ts";

const well: NodeCondition = {
  isConnected: true,
  connectedAtUnixMs: 10_000,
  lastSeenAtUnixMs: 99_000,
  stop: null,
  publication: 7,
  newestPublication: 7,
  behindSinceUnixMs: null,
  refused: null,
};
const behind = { newestPublication: 9, behindSinceUnixMs: 80_000 };
const nack = { publication: 9, message: "routes.paths: no such path" };

describe("judgeNode", () => {
  it.each<{ name: string; given: Partial<NodeCondition>; state: string; reason: string; lagMs: number | null }>([
    { name: "serves the newest", given: {}, state: "in_sync", reason: "", lagMs: null },
    {
      name: "serves what another control plane published",
      given: { publication: 8 },
      state: "in_sync",
      reason: "",
      lagMs: null,
    },
    { name: "is behind", given: behind, state: "lagging", reason: "2 publications behind for 20 s", lagMs: 20_000 },
    {
      name: "is behind for long",
      given: { ...behind, behindSinceUnixMs: 69_999 },
      state: "stale",
      reason: "2 publications behind for 30 s",
      lagMs: 30_001,
    },
    {
      name: "refused the newest",
      given: { ...behind, refused: nack },
      state: "lagging",
      reason: nack.message,
      lagMs: 20_000,
    },
    {
      name: "refused one before",
      given: { ...behind, refused: { ...nack, publication: 8 } },
      state: "lagging",
      reason: "2 publications behind for 20 s",
      lagMs: 20_000,
    },
    {
      name: "has nothing yet",
      given: { publication: null, connectedAtUnixMs: 99_000 },
      state: "lagging",
      reason: "it serves nothing of this store yet",
      lagMs: 1_000,
    },
    {
      name: "is of another store",
      given: { stop: "foreign_store", refused: { publication: 7, message: "another store" } },
      state: "stale",
      reason: "another store",
      lagMs: 90_000,
    },
    {
      name: "has just left",
      given: { isConnected: false },
      state: "disconnected",
      reason: "not connected; heard of 1 s ago",
      lagMs: null,
    },
    {
      name: "left long ago, and missed something",
      given: { isConnected: false, lastSeenAtUnixMs: 50_000, ...behind },
      state: "stale",
      reason: "not connected; heard of 50 s ago",
      lagMs: 20_000,
    },
  ])("tells of a node that $name", ({ given, state, reason, lagMs }) => {
    expect(judgeNode({ ...well, ...given }, 100_000, 30_000)).toEqual({ state, reason, lagMs });
  });
});

describe("PublicationTimes", () => {
  it("knows since when something newer has been there", () => {
    const times = new PublicationTimes();
    for (const [publication, atUnixMs] of [
      [1, 0],
      [2, 5_000],
      [3, 5_900],
      [4, 7_000],
    ] as const)
      times.note(publication, atUnixMs);
    expect([0, 1, 2, 3, 4, 5].map((publication) => times.behindSinceUnixMs(publication))).toEqual([
      0,
      5_000,
      // The third is of the same second as the second: told as the next second's.
      7_000,
      7_000,
      null,
      null,
    ]);
  });

  it("tells of the last second at once", () => {
    const times = new PublicationTimes();
    times.note(1, 0);
    times.note(2, 10);
    expect(times.behindSinceUnixMs(1)).toBe(0);
  });

  it("keeps more than an hour of changes, and counts from there what is older", () => {
    const times = new PublicationTimes();
    for (let i = 1; i <= 5_000; i++) times.note(i, i * 1_000);
    expect(times.behindSinceUnixMs(4_998)).toBe(4_999_000);
    expect(times.behindSinceUnixMs(1)).toBe((5_000 - 4_096 + 1) * 1_000);
  });
});

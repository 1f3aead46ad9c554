import { describe, expect, it } from "vitest";
import { found, rig } from "./resolve-name.test-rig.ts";

describe("NameResolver, families", () => {
  const both = found(["10.0.0.1", "fd00::1"], 60);

  it.each([
    { families: "ipv4-first", want: "10.0.0.1" },
    { families: "ipv6-first", want: "fd00::1" },
    { families: "ipv6", want: "fd00::1" },
    { families: "ipv4", want: "10.0.0.1" },
  ] as const)("uses the addresses of one family, without a race, for $families", async ({ families, want }) => {
    const rigged = rig({ a: both }, { families });
    rigged.hostsText = "10.0.0.1 listed\nfd00::1 listed";
    rigged.resolver.keepNames(["a", "listed"]);
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual([want]);
    expect(rigged.resolver.addressesOf("listed")).toEqual([want]);
    expect(rigged.races).toEqual([]);
  });

  it.each([
    { winner: 4, want: "10.0.0.1" },
    { winner: 6, want: "fd00::1" },
    { winner: null, want: "10.0.0.1" },
  ] as const)("uses the addresses of the faster family, $winner, and never those of both", async ({ winner, want }) => {
    const rigged = rig({ a: both });
    rigged.winner = winner;
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual([want]);
    expect(rigged.races).toEqual([{ addresses: { v4: ["10.0.0.1"], v6: ["fd00::1"] }, port: 80, incumbent: null }]);
    expect(rigged.changes).toEqual(["a"]);
  });

  it("counts a name as answered when its first race is over", async () => {
    const rigged = rig({ a: both });
    let end = () => {};
    rigged.raceEnd = new Promise((resolve) => (end = resolve));
    rigged.winner = 6;
    rigged.resolver.keepNames(["a"]);
    let isAnswered = false;
    const answered = rigged.resolver.firstAnswers(500).then(() => (isAnswered = true));
    await rigged.timers.pass(100);
    expect(isAnswered).toBe(false);
    end();
    await answered;
    expect(rigged.resolver.addressesOf("a")).toEqual(["fd00::1"]);
  });

  it("holds no race where there is one family only", async () => {
    const rigged = rig({ a: found(["fd00::1"]), b: found(["10.0.0.1"]) });
    rigged.resolver.keepNames(["a", "b"]);
    await rigged.timers.pass(0);
    expect([rigged.resolver.addressesOf("a"), rigged.resolver.addressesOf("b")]).toEqual([["fd00::1"], ["10.0.0.1"]]);
    expect(rigged.races).toEqual([]);
  });

  it("races again every ten minutes, with the family in use ahead, and goes on with it meanwhile", async () => {
    const rigged = rig({ a: both });
    rigged.winner = 6;
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(599_000);
    expect(rigged.races).toHaveLength(1);
    rigged.winner = 4;
    let end = () => {};
    rigged.raceEnd = new Promise((resolve) => (end = resolve));
    await rigged.timers.pass(60_000);
    expect(rigged.races.map(({ incumbent }) => incumbent)).toEqual([null, 6]);
    expect(rigged.resolver.addressesOf("a")).toEqual(["fd00::1"]);
    end();
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
  });

  it("races again when connections fail, at most once a second", async () => {
    const rigged = rig({ a: both });
    rigged.winner = 6;
    rigged.hostsText = "10.0.0.1 listed\nfd00::1 listed";
    rigged.resolver.keepNames(["a", "listed"]);
    await rigged.timers.pass(5_000);
    rigged.winner = 4;
    for (let i = 0; i < 10; i++) {
      rigged.resolver.refresh("a");
      rigged.resolver.refresh("listed");
      await rigged.timers.pass(10);
    }
    expect(rigged.races).toHaveLength(4);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    expect(rigged.resolver.addressesOf("listed")).toEqual(["10.0.0.1"]);
  });

  it("goes to the other family at once when the one in use is gone from the answer", async () => {
    const rigged = rig({ a: both });
    rigged.winner = 6;
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = found(["10.0.0.7"]);
    await rigged.timers.pass(60_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.7"]);
  });

  it("leaves out of a race whose name is kept no more", async () => {
    const rigged = rig({ a: both });
    let end = () => {};
    rigged.raceEnd = new Promise((resolve) => (end = resolve));
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.resolver.keepNames([]);
    end();
    await rigged.timers.pass(0);
    expect(rigged.changes).toEqual([]);
  });
});

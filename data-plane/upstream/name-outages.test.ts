import { describe, expect, it } from "vitest";
import { failed, found, notFound, rig, services } from "./resolve-name.test-rig.ts";

describe("NameResolver, outages", () => {
  it("keeps the last good answer for as long as nobody can say better, asking ever more rarely", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = failed;
    await rigged.timers.pass(1_000 + 1_000 + 2_000 + 4_000);
    expect(rigged.asked).toHaveLength(5);
    await rigged.timers.pass(23 * 3_600_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    expect(rigged.asked.length).toBeLessThan(5 + (23 * 3_600) / 29);
    rigged.answers["a"] = found(["10.0.0.2"], 1);
    await rigged.timers.pass(30_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.2"]);
  });

  it("lets the last good answer go when lookups have failed for a day", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = failed;
    await rigged.timers.pass(24 * 3_600_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    await rigged.timers.pass(31_000);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
    expect(rigged.resolver.describe("a")).toEqual({ source: null, error: "timeout" });
  });

  it("lets it go after a day of failures and empty answers in turn, too", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    for (let minute = 0; minute < 24 * 60; minute++) {
      expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
      rigged.answers["a"] = minute % 2 === 0 ? failed : notFound;
      await rigged.timers.pass(60_000);
    }
    await rigged.timers.pass(60_000);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
  });

  // Row 38: 10 minutes without a name server, whatever it does instead of answering.
  it.each([
    { name: "fails", answer: failed },
    { name: "answers with nothing", answer: { type: "not_found", reason: "no address", ttlMs: null } as const },
    { name: "says that the name is not there", answer: notFound },
  ])(
    "changes nothing in 10 minutes in which the DNS $name, and follows within a retry after them",
    async ({ answer }) => {
      const rigged = rig({ a: found(["10.0.0.1"], 2), "_http._tcp.s": services([["a", 81, 1]], 2) });
      rigged.resolver.keepNames(["a", "_http._tcp.s"]);
      await rigged.timers.pass(0);
      rigged.changes.length = 0;
      rigged.answers["a"] = answer;
      rigged.answers["_http._tcp.s"] = answer;
      for (let second = 0; second < 600; second++) {
        await rigged.timers.pass(1_000);
        expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
        expect(rigged.resolver.addressesOf("_http._tcp.s")).toEqual(["10.0.0.1"]);
      }
      expect(rigged.changes).toEqual([]);
      rigged.answers["a"] = found(["10.0.0.2"], 2);
      await rigged.timers.pass(30_000);
      expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.2"]);
      expect(rigged.resolver.describe("a")).toEqual({ source: "A", error: null });
    },
  );

  it("keeps the addresses of a name that vanished for an hour, then lets them go", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = notFound;
    await rigged.timers.pass(3_599_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    await rigged.timers.pass(10_000);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
  });
});

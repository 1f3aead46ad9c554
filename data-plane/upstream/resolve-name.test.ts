import { describe, expect, it } from "vitest";
import { failed, found, rig, services } from "./resolve-name.test-rig.ts";
import { NameResolver } from "./resolve-name.ts";
import { FakeTimers } from "./timers.test-fake.ts";

describe("NameResolver", () => {
  it("has the addresses of a name after its first answer, sorted", async () => {
    const { resolver, timers, changes } = rig({ a: found(["10.0.0.2", "10.0.0.1", "10.0.0.2"]) });
    resolver.keepNames(["A"]);
    expect(resolver.addressesOf("a")).toEqual([]);
    await timers.pass(0);
    expect(resolver.addressesOf("A")).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(changes).toEqual(["a"]);
  });

  it("knows addresses without asking anybody", () => {
    const { resolver, asked } = rig();
    resolver.keepNames(["10.0.0.1", "::1"]);
    expect(resolver.addressesOf("10.0.0.1")).toEqual(["10.0.0.1"]);
    expect(resolver.addressesOf("::1")).toEqual(["::1"]);
    expect(asked).toEqual([]);
  });

  it.each(["localhost", "a.localhost"])("takes %s for this machine, without asking the DNS", (name) => {
    const { resolver, asked } = rig();
    resolver.keepNames([name]);
    expect(resolver.addressesOf(name)).toEqual(["127.0.0.1"]);
    expect(asked).toEqual([]);
  });

  it("asks the hosts file before the DNS", () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    rigged.hostsText = "10.0.0.1 a\n127.0.0.2 localhost";
    rigged.resolver.keepNames(["a", "localhost"]);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    expect(rigged.resolver.addressesOf("localhost")).toEqual(["127.0.0.2"]);
    expect(rigged.asked).toEqual([]);
  });

  it.each([
    { name: "its time to live", ttlSeconds: 60, beforeMs: 59_999, afterMs: 1 },
    { name: "a second at least", ttlSeconds: 0, beforeMs: 999, afterMs: 1 },
    { name: "an hour at most", ttlSeconds: 86_400, beforeMs: 3_599_999, afterMs: 1 },
  ])("asks again after $name", async ({ ttlSeconds, beforeMs, afterMs }) => {
    const { resolver, timers, asked } = rig({ a: found(["10.0.0.1"], ttlSeconds) });
    resolver.keepNames(["a"]);
    await timers.pass(beforeMs);
    expect(asked).toHaveLength(1);
    await timers.pass(afterMs);
    expect(asked).toHaveLength(2);
  });

  it("tells of a change, and of nothing when the answer is only in another order", async () => {
    const rigged = rig({ a: found(["10.0.0.1", "10.0.0.2"]) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = found(["10.0.0.2", "10.0.0.1"]);
    await rigged.timers.pass(60_000);
    expect(rigged.changes).toEqual(["a"]);
    rigged.answers["a"] = found(["10.0.0.3"]);
    await rigged.timers.pass(60_000);
    expect(rigged.changes).toEqual(["a", "a"]);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.3"]);
  });

  it("asks for a name that is not there again after 5 s, not before", async () => {
    const rigged = rig();
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(4_999);
    expect(rigged.asked).toHaveLength(1);
    expect(rigged.problems).toEqual(["a: no such name"]);
    rigged.answers["a"] = found(["10.0.0.1"]);
    await rigged.timers.pass(1);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
  });

  it.each([
    { name: "as long as the name server says", ttlMs: 12_000, waitMs: 12_000 },
    { name: "a second at least", ttlMs: 0, waitMs: 1_000 },
    { name: "30 s at most", ttlMs: 3_600_000, waitMs: 30_000 },
  ])("believes that there is nothing for $name", async ({ ttlMs, waitMs }) => {
    const { resolver, timers, asked } = rig({ a: { type: "not_found", reason: "no such name", ttlMs } });
    resolver.keepNames(["a"]);
    await timers.pass(waitMs - 1);
    expect(asked).toHaveLength(1);
    await timers.pass(1);
    expect(asked).toHaveLength(2);
  });

  it("asks up to a tenth of the time early, so that names learnt together are not asked for together", async () => {
    const timers = new FakeTimers();
    const asked: string[] = [];
    let draw = 0;
    const resolver = new NameResolver({
      lookup: async (name) => {
        asked.push(name);
        return found(["10.0.0.1"], 100);
      },
      hosts: { addressesOf: () => null },
      ...{ families: "fastest", race: async () => null, timers, onChange: () => {} },
      random: () => draw++ / 10,
    });
    resolver.keep(Array.from({ length: 10 }, (_, i) => ({ host: `n${i}`, port: 80 })));
    await timers.pass(0);
    const askedAt = [];
    for (let second = 1; second <= 100; second++) {
      const before = asked.length;
      await timers.pass(1_000);
      for (let i = before; i < asked.length; i++) askedAt.push(second);
    }
    expect(askedAt).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
    resolver.close();
  });

  it("tells a name that ends with a dot from one that does not", async () => {
    const { resolver, timers, asked } = rig({ a: found(["10.0.0.1"]), "a.": found(["10.0.0.2"]) });
    resolver.keepNames(["a", "A."]);
    await timers.pass(0);
    expect(asked).toEqual(["a", "a."]);
    expect([resolver.addressesOf("a"), resolver.addressesOf("a.")]).toEqual([["10.0.0.1"], ["10.0.0.2"]]);
  });

  it("follows the hosts file when it changes, both ways", async () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    rigged.resolver.keepNames(["a", "b"]);
    await rigged.timers.pass(0);
    rigged.hostsText = "10.0.0.1 a\n10.0.0.2 b";
    rigged.resolver.configChanged();
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    rigged.hostsText = "";
    rigged.resolver.configChanged();
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.9"]);
    // The file is no name server that forgets: a line taken out is meant so.
    expect(rigged.resolver.addressesOf("b")).toEqual([]);
  });

  it("lets the hosts file have the say when it changes during a lookup", async () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    let release = () => {};
    rigged.hold = new Promise((resolve) => (release = resolve));
    rigged.resolver.keepNames(["a"]);
    rigged.hostsText = "10.0.0.1 a";
    rigged.resolver.configChanged();
    release();
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
  });

  it("looks a name up early when asked to, but not twice within a second", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 3_600) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(5_000);
    rigged.resolver.refresh("A");
    rigged.resolver.refresh("a");
    await rigged.timers.pass(0);
    expect(rigged.asked).toHaveLength(2);
    rigged.resolver.refresh("a");
    await rigged.timers.pass(999);
    expect(rigged.asked).toHaveLength(2);
    await rigged.timers.pass(1);
    expect(rigged.asked).toHaveLength(3);
    rigged.resolver.refresh("unknown");
  });

  it("waits for first answers, and no longer than it is told", async () => {
    const rigged = rig({ a: found(["10.0.0.1"]) });
    let release = () => {};
    rigged.hold = new Promise((resolve) => (release = resolve));
    rigged.resolver.keepNames(["a"]);
    let isOver = false;
    const waiting = rigged.resolver.firstAnswers(500).then(() => (isOver = true));
    await rigged.timers.pass(499);
    expect(isOver).toBe(false);
    await rigged.timers.pass(1);
    await waiting;
    const again = rigged.resolver.firstAnswers(500);
    release();
    await again;
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    await rigged.resolver.firstAnswers(500);
  });

  it("asks for no more names at once than it may, and for each in the end", async () => {
    const rigged = rig({}, { limits: { lookupsMax: 2 } });
    let release = () => {};
    rigged.hold = new Promise((resolve) => (release = resolve));
    rigged.resolver.keepNames(["a", "b", "c", "d"]);
    rigged.resolver.keepNames(["a", "b", "d"]);
    await rigged.timers.pass(0);
    expect(rigged.asked).toEqual(["a", "b"]);
    release();
    await rigged.timers.pass(0);
    expect(rigged.asked).toEqual(["a", "b", "d"]);
  });

  it("keeps nothing going for names that are kept no more", async () => {
    const rigged = rig({ a: found(["10.0.0.1"]) });
    rigged.resolver.keepNames(["a"]);
    await rigged.timers.pass(0);
    rigged.resolver.keepNames([]);
    expect(rigged.timers.waitingCount).toBe(0);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
  });

  it("tells how each name was resolved, or why not", async () => {
    const rigged = rig({ four: found(["10.0.0.1"]), six: found(["fd00::1"]), broken: failed });
    rigged.answers["_http._tcp.s"] = services([["broken", 81, 1]]);
    rigged.hostsText = "10.0.0.9 listed";
    rigged.resolver.keepNames(["four", "six", "broken", "listed", "_http._tcp.s", "gone", "10.0.0.1"]);
    await rigged.timers.pass(0);
    const described = (name: string) => Object.values(rigged.resolver.describe(name));
    expect(described("four")).toEqual(["A", null]);
    expect(described("SIX")).toEqual(["AAAA", null]);
    expect(described("listed")).toEqual(["hosts", null]);
    expect(described("10.0.0.1")).toEqual(["literal", null]);
    expect(described("broken")).toEqual([null, "timeout"]);
    expect(described("gone")).toEqual([null, "no such name"]);
    expect(described("_http._tcp.s")).toEqual(["SRV", "timeout"]);
    expect(described("never heard of")).toEqual([null, null]);
    rigged.answers["four"] = failed;
    await rigged.timers.pass(60_000);
    expect(described("four")).toEqual(["A", "timeout"]);
    expect(rigged.problems.filter((problem) => problem.endsWith("four: timeout"))).toEqual(["four: timeout"]);
    await rigged.timers.pass(1_000);
    expect(rigged.problems.filter((problem) => problem.endsWith("four: timeout"))).toHaveLength(2);
    expect(rigged.problems.at(-1)).toMatch(/^again, /);
  });

  it("shows the state of every name", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 60), "_http._tcp.s": services([["a", 81, 2]], 30) });
    rigged.resolver.keepNames(["a", "_http._tcp.s", "gone"]);
    await rigged.timers.pass(1_000);
    const fine = { lookedUpMsAgo: 1_000, error: null, failingForMs: null };
    const a = { name: "a", source: "A", addresses: ["10.0.0.1"], services: [], dueInMs: 59_000, ...fine };
    const service = { target: "a", port: 81, weight: 2 };
    expect(rigged.resolver.states()).toEqual([
      a,
      { ...a, name: "_http._tcp.s", source: "SRV", addresses: [], services: [service], dueInMs: 29_000 },
      {
        ...{ name: "gone", source: null, addresses: [], services: [], dueInMs: 4_000, lookedUpMsAgo: 1_000 },
        ...{ error: "no such name", failingForMs: 1_000 },
      },
      a,
    ]);
  });
});

import { describe, expect, it } from "vitest";
import { parseHostsFile } from "./hosts-file.ts";
import type { LookupAnswer } from "./lookup-addresses.ts";
import { NameResolver, type NameResolverLimits } from "./resolve-name.ts";
import { FakeTimers } from "./timers.test-fake.ts";

function found(addresses: readonly string[], ttlSeconds = 60): LookupAnswer {
  return { type: "found", addresses, ttlMs: ttlSeconds * 1_000 };
}
const notFound: LookupAnswer = { type: "not_found" };
const failed: LookupAnswer = { type: "failed", message: "ETIMEOUT" };

/** A resolver whose DNS is a table that the test fills, and whose hosts file is a text that it changes. */
function rig(answers: Record<string, LookupAnswer> = {}, limits: Partial<NameResolverLimits> = {}) {
  const timers = new FakeTimers();
  const asked: string[] = [];
  const changes: string[] = [];
  const problems: string[] = [];
  const rigged = { answers, timers, asked, changes, problems, hostsText: "", hold: null as Promise<void> | null };
  const resolver = new NameResolver({
    lookup: async (name) => {
      asked.push(name);
      const answer = rigged.answers[name] ?? notFound;
      await rigged.hold;
      return answer;
    },
    hosts: { addressesOf: (name) => parseHostsFile(rigged.hostsText).addressesOf(name) },
    timers,
    random: () => 0,
    onChange: (name) => changes.push(name),
    onProblem: (name, problem) => problems.push(`${name}: ${problem}`),
    limits,
  });
  return Object.assign(rigged, { resolver });
}

describe("NameResolver", () => {
  it("has the addresses of a name after its first answer, sorted", async () => {
    const { resolver, timers, changes } = rig({ a: found(["10.0.0.2", "10.0.0.1", "10.0.0.2"]) });
    resolver.keep(["A."]);
    expect(resolver.addressesOf("a")).toEqual([]);
    await timers.pass(0);
    expect(resolver.addressesOf("A")).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(changes).toEqual(["a"]);
  });

  it("knows addresses without asking anybody", () => {
    const { resolver, asked } = rig();
    resolver.keep(["10.0.0.1", "::1"]);
    expect(resolver.addressesOf("10.0.0.1")).toEqual(["10.0.0.1"]);
    expect(resolver.addressesOf("::1")).toEqual(["::1"]);
    expect(asked).toEqual([]);
  });

  it.each(["localhost", "a.localhost"])("takes %s for this machine, without asking the DNS", (name) => {
    const { resolver, asked } = rig();
    resolver.keep([name]);
    expect(resolver.addressesOf(name)).toEqual(["127.0.0.1"]);
    expect(asked).toEqual([]);
  });

  it("asks the hosts file before the DNS", () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    rigged.hostsText = "10.0.0.1 a\n127.0.0.2 localhost";
    rigged.resolver.keep(["a", "localhost"]);
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
    resolver.keep(["a"]);
    await timers.pass(beforeMs);
    expect(asked).toHaveLength(1);
    await timers.pass(afterMs);
    expect(asked).toHaveLength(2);
  });

  it("tells of a change, and of nothing when the answer is only in another order", async () => {
    const rigged = rig({ a: found(["10.0.0.1", "10.0.0.2"]) });
    rigged.resolver.keep(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = found(["10.0.0.2", "10.0.0.1"]);
    await rigged.timers.pass(60_000);
    expect(rigged.changes).toEqual(["a"]);
    rigged.answers["a"] = found(["10.0.0.3"]);
    await rigged.timers.pass(60_000);
    expect(rigged.changes).toEqual(["a", "a"]);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.3"]);
  });

  it("keeps the last good answer for as long as nobody can say better, asking ever more rarely", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keep(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = failed;
    await rigged.timers.pass(1_000 + 1_000 + 2_000 + 4_000);
    expect(rigged.asked).toHaveLength(5);
    await rigged.timers.pass(24 * 3_600_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    expect(rigged.asked.length).toBeLessThan(5 + (24 * 3_600) / 29);
    rigged.answers["a"] = found(["10.0.0.2"], 1);
    await rigged.timers.pass(30_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.2"]);
  });

  it("keeps the addresses of a name that vanished for an hour, then lets them go", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 1) });
    rigged.resolver.keep(["a"]);
    await rigged.timers.pass(0);
    rigged.answers["a"] = notFound;
    await rigged.timers.pass(3_599_000);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    await rigged.timers.pass(10_000);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
  });

  it("asks for a name that is not there again after 5 s, not before", async () => {
    const rigged = rig();
    rigged.resolver.keep(["a"]);
    await rigged.timers.pass(4_999);
    expect(rigged.asked).toHaveLength(1);
    expect(rigged.problems).toEqual(["a: no such name"]);
    rigged.answers["a"] = found(["10.0.0.1"]);
    await rigged.timers.pass(1);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
  });

  it("follows the hosts file when it changes, both ways", async () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    rigged.resolver.keep(["a", "b"]);
    await rigged.timers.pass(0);
    rigged.hostsText = "10.0.0.1 a\n10.0.0.2 b";
    rigged.resolver.hostsChanged();
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
    rigged.hostsText = "";
    rigged.resolver.hostsChanged();
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.9"]);
    // The file is no name server that forgets: a line taken out is meant so.
    expect(rigged.resolver.addressesOf("b")).toEqual([]);
  });

  it("lets the hosts file have the say when it changes during a lookup", async () => {
    const rigged = rig({ a: found(["10.0.0.9"]) });
    let release = () => {};
    rigged.hold = new Promise((resolve) => (release = resolve));
    rigged.resolver.keep(["a"]);
    rigged.hostsText = "10.0.0.1 a";
    rigged.resolver.hostsChanged();
    release();
    await rigged.timers.pass(0);
    expect(rigged.resolver.addressesOf("a")).toEqual(["10.0.0.1"]);
  });

  it("looks a name up early when asked to, but not twice within a second", async () => {
    const rigged = rig({ a: found(["10.0.0.1"], 3_600) });
    rigged.resolver.keep(["a"]);
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
    rigged.resolver.keep(["a"]);
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
    const rigged = rig({}, { lookupsMax: 2 });
    let release = () => {};
    rigged.hold = new Promise((resolve) => (release = resolve));
    rigged.resolver.keep(["a", "b", "c", "d"]);
    rigged.resolver.keep(["a", "b", "d"]);
    await rigged.timers.pass(0);
    expect(rigged.asked).toEqual(["a", "b"]);
    release();
    await rigged.timers.pass(0);
    expect(rigged.asked).toEqual(["a", "b", "d"]);
  });

  it("keeps nothing going for names that are kept no more", async () => {
    const rigged = rig({ a: found(["10.0.0.1"]) });
    rigged.resolver.keep(["a"]);
    await rigged.timers.pass(0);
    rigged.resolver.keep([]);
    expect(rigged.timers.waitingCount).toBe(0);
    expect(rigged.resolver.addressesOf("a")).toEqual([]);
  });
});

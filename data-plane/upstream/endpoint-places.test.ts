import { describe, expect, it } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { member, pool, resolverRig } from "./endpoint-resolver.test-rig.ts";
import type { PoolMember, PoolPlan } from "./pool-plan.ts";

const hashing = (...members: PoolMember[]): PoolPlan => ({
  ...pool("p", ...members),
  algorithm: "consistent-hashing",
  balancing: { ...defaultBalancing, hash: { on: { kind: "ip" }, fallback: null, boundedLoad: null } },
});
const sticky = (...members: PoolMember[]): PoolPlan => ({
  ...pool("p", ...members),
  algorithm: "sticky-sessions",
  balancing: { ...defaultBalancing, sticky: { name: "c", path: "/" } },
});
const local = (...members: PoolMember[]): PoolPlan => ({
  ...pool("p", ...members),
  balancing: { ...defaultBalancing, zones: { spillThresholdPercent: 70 } },
});

const one = "10.0.0.1";
const two = "10.0.0.2";

/** Resolves the pool on a new node. */
async function resolved(plan: PoolPlan, given: { zone?: string; hosts?: string } = {}): Promise<EndpointSet> {
  const rigged = resolverRig(given);
  await rigged.write(given.hosts ?? "");
  await rigged.endpoints.prepare([plan]);
  return rigged.endpoints.use([plan])!.sets[0]!;
}

describe("EndpointResolver, on where endpoints stand", () => {
  it("says the tier and the limit of their target", async () => {
    const members = [
      { ...member("a"), priority: 2, maxInFlight: 7 },
      { ...member("10.0.0.9"), priority: 0, maxInFlight: 0 },
    ];
    const { endpoints } = await resolved(pool("p", ...members), { hosts: `${one} a\n${two} a` });
    expect(endpoints.map(({ address, priority, maxInFlight }) => [address, priority, maxInFlight])).toEqual([
      [one, 2, 7],
      [two, 2, 7],
      ["10.0.0.9", 0, 0],
    ]);
  });

  it.each([
    { name: "on a node without a zone", zone: {}, plan: local, want: [true, true, true] },
    {
      name: "where zones make no difference",
      zone: { zone: "a" },
      plan: pool.bind(null, "p"),
      want: [true, true, true],
    },
    { name: "on a node of a zone", zone: { zone: "a" }, plan: local, want: [true, false, true] },
    { name: "on a node of a zone that no target is in", zone: { zone: "A" }, plan: local, want: [false, false, true] },
  ])("says which are near $name; those that say nothing are", async ({ zone, plan, want }) => {
    const members = [
      { ...member(one), zone: "a" },
      { ...member(two), zone: "b" },
      { ...member("10.0.0.3"), zone: null },
    ];
    expect((await resolved(plan(...members), zone)).endpoints.map(({ isLocal }) => isLocal)).toEqual(want);
  });

  it("gives one that two members lead to the better place of the two", async () => {
    const members = [
      { ...member(one), priority: 1, zone: "b" },
      { ...member(one), priority: 3, zone: "a" },
    ];
    const { endpoints } = await resolved(local(...members), { zone: "a" });
    expect(endpoints).toMatchObject([{ priority: 1, isLocal: true, weight: 200 }]);
  });

  it.each([
    { limits: [3, 7], want: 3 },
    { limits: [7, 3], want: 3 },
    { limits: [0, 7], want: 7 },
    { limits: [7, 0], want: 7 },
    { limits: [0, 0], want: 0 },
  ])("gives one that two members with the limits $limits lead to the lower one", async ({ limits, want }) => {
    const members = limits.map((maxInFlight) => ({ ...member(one), maxInFlight }));
    expect((await resolved(pool("p", ...members))).endpoints.map(({ maxInFlight }) => maxInFlight)).toEqual([want]);
  });

  it("sends a set again for a tier, a zone or a limit alone", () => {
    const { endpoints } = resolverRig({ zone: "a" });
    const setOf = (given: Partial<PoolMember>) => endpoints.use([local({ ...member(one), ...given })])!.sets[0]!;
    const first = setOf({});
    for (const given of [{ priority: 1 }, { zone: "b" }, { maxInFlight: 3 }]) {
      expect(setOf(given).endpoints, JSON.stringify(given)).not.toEqual(first.endpoints);
    }
  });
});

describe("EndpointResolver, on sticky sessions", () => {
  it("names each endpoint the same on every node and in every order, and tells upstreams apart", async () => {
    const first = await resolved(sticky(member(one), member(two)));
    const second = await resolved(sticky({ ...member(two), targetId: "another" }, member(one)));
    const keys = first.endpoints.map(({ stickyKey }) => stickyKey);
    expect(second.endpoints.map(({ stickyKey }) => stickyKey)).toEqual(keys.toReversed());
    const other = await resolved({ ...sticky(member(one), member(two)), key: "q" });
    const all = [...keys, ...other.endpoints.map(({ stickyKey }) => stickyKey)];
    expect(new Set(all).size).toBe(4);
    for (const key of all) expect(key).toMatch(/^[0-9a-f]{16}$/);
  });

  it("gives the endpoints of other algorithms no name", async () => {
    for (const plan of [pool("p", member(one)), hashing(member(one))])
      expect((await resolved(plan)).endpoints[0]!.stickyKey).toBe("");
  });

  it("keeps what has weight 0, beside others, by itself, and with records that have weights", async () => {
    const beside = await resolved(sticky(member(one, 80, 0), member(two, 80, 5)));
    expect(beside.endpoints.map(({ weight }) => weight)).toEqual([0, 5]);
    const alone = await resolved(sticky(member(one, 80, 0)));
    expect([alone.endpoints.map(({ weight }) => weight), alone.emptyBecause]).toEqual([[0], null]);
    const rigged = resolverRig();
    rigged.answers["_http._tcp.s"] = {
      type: "services",
      records: [{ target: "x", port: 81, weight: 3 }],
      ttlMs: 60_000,
    };
    for (const weightBasis of ["per_address", "per_target"] as const) {
      await rigged.write(`${one} x`);
      const plans = [{ ...sticky(member("_http._tcp.s", 80, 0), member(two, 80, 7)), weightBasis }];
      const prepared = rigged.endpoints.prepare(plans);
      await rigged.timers.pass(0);
      await prepared;
      expect(rigged.endpoints.use(plans)!.sets[0]!.endpoints.map(({ weight }) => weight)).toEqual([0, 7]);
    }
  });
});

describe("EndpointResolver, on consistent hashing", () => {
  it("has rings for it, and for no other algorithm", async () => {
    const { rings } = await resolved(hashing(member(one), member(two)));
    expect(rings!.map(({ priority, isLocal }) => [priority, isLocal])).toEqual([[0, true]]);
    expect(new Set(new Uint16Array(rings![0]!.slots))).toEqual(new Set([0, 1]));
    expect((await resolved(pool("p", member(one)))).rings).toBeNull();
    expect((await resolved(sticky(member(one)))).rings).toBeNull();
  });

  it("makes no ring anew for a snapshot that changes nothing in it", () => {
    const { endpoints } = resolverRig();
    const ringsOf = (plan: PoolPlan) => endpoints.use([plan])!.sets[0]!.rings;
    const first = ringsOf(hashing(member(one), member(two)));
    expect(ringsOf(hashing(member(one), { ...member(two), maxInFlight: 3 }))).toBe(first);
    expect(ringsOf({ ...hashing(member(one), member(two)), slots: 2_000 })).not.toBe(first);
    const second = ringsOf(hashing(member(one), member(two)));
    expect(ringsOf(hashing(member(one), member(two, 80, 50)))).not.toBe(second);
    const third = ringsOf(hashing(member(one), member(two)));
    expect(ringsOf(hashing(member(one), { ...member(two), priority: 1 }))).not.toBe(third);
  });

  it("makes them before the config is used, in slices with a turn of the event loop between them", async () => {
    const { endpoints } = resolverRig();
    const plans = Array.from({ length: 4 }, (_, i) => ({
      ...hashing(member(one), member(two)),
      ...{ key: `p${i}`, slots: 65_536 },
    }));
    let turns = 0;
    const countTurns = () => {
      turns++;
      counting = setImmediate(countTurns);
    };
    let counting = setImmediate(countTurns);
    await endpoints.prepare(plans);
    const turnsAtFirst = turns;
    endpoints.use(plans);
    await endpoints.prepare(plans);
    clearImmediate(counting);
    expect(turnsAtFirst).toBeGreaterThanOrEqual(plans.length - 1);
    expect(turns).toBe(turnsAtFirst);
  });

  it("makes one anew when a name resolves differently, and none when another one does", async () => {
    const rigged = resolverRig();
    await rigged.write(`${one} a\n${two} b`);
    const plans = [hashing(member("a")), { ...hashing(member("b")), key: "q" }];
    await rigged.endpoints.prepare(plans);
    const [, former] = rigged.endpoints.use(plans)!.sets;
    await rigged.write(`10.0.0.3 a\n${two} b`);
    expect(rigged.sent.map((sets) => sets.map(({ poolKey, rings }) => [poolKey, rings?.length]))).toEqual([[["p", 1]]]);
    expect(rigged.endpoints.currentSets()[1]!.rings).toBe(former!.rings);
  });
});

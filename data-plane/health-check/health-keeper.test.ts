import { describe, expect, it } from "vitest";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import { active, down, member, override, passive, plain, rig } from "./health-keeper.test-rig.ts";
import { endpointsPage, healthMetrics } from "./health-metrics.ts";

describe("HealthKeeper", () => {
  it("tells of an endpoint that nobody has judged, of what probes say, and of why", async () => {
    const { timers, outcomes, transitions, use, view } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { activeCheck: active() });
    expect(view(row!)).toMatchObject({
      ...{ upstreamId: "u", upstreamName: "u", targetId: "t-a", target: "a:80", address: "10.0.0.1:80", weight: 100 },
      ...{
        isHealthy: true,
        source: "",
        reason: "",
        sinceUnixMs: 1_000_000,
        transitionCount: 0,
        isChecked: true,
        dns: "A",
      },
    });
    outcomes.set("10.0.0.1", down);
    await timers.pass(1_000);
    expect(view(row!)).toMatchObject({
      ...{ isHealthy: false, source: "active", reason: "the probe failed: ECONNREFUSED", transitionCount: 1 },
      ...{ sinceUnixMs: 1_001_000, probeFailures: 1, probeSuccesses: 0 },
    });
    outcomes.delete("10.0.0.1");
    await timers.pass(1_000);
    expect(transitions).toEqual([
      "10.0.0.1:80 out active: the probe failed: ECONNREFUSED",
      "10.0.0.1:80 in active: GET / was answered with 200",
    ]);
  });

  it("has nothing left to do with a pool in the turn in which it comes into use, where that was told before", () => {
    const { rows, keeper, prepared, view } = rig();
    const { pool, set, row, use } = prepared("10.0.0.1");
    let lookCount = 0;
    const endpointAt = rows.endpointAt.bind(rows);
    rows.endpointAt = (asked) => {
      lookCount++;
      return endpointAt(asked);
    };
    keeper.adopt(pool, set);
    expect(lookCount).toBe(1);
    use();
    expect(lookCount).toBe(1);
    expect(view(row)).toMatchObject({ target: "a:80", address: "10.0.0.1:80", isHealthy: true });
    expect(keeper.endpoints.takeChanged(false).map((one) => [one.row, one.isGone])).toEqual([[row, false]]);
  });

  it("tells of a pool as gone that was to come into use, and did not", () => {
    const { keeper, prepared } = rig();
    const { pool, set, row } = prepared("10.0.0.1");
    keeper.adopt(pool, set);
    keeper.endpoints.takeChanged(false);
    keeper.update([], new Map());
    expect(keeper.pools).toEqual([]);
    expect(keeper.endpoints.takeChanged(false).map((one) => [one.row, one.isGone])).toEqual([[row, true]]);
  });

  it("tells of the name that a service goes to, where neither it nor the one before has an address", () => {
    const { keeper } = rig();
    const poolOf = (host: string) => ({ ...plain, key: `host:${host}`, name: host, members: [{ ...member, host }] });
    const [before, after] = [poolOf("x"), poolOf("y")];
    const none = testSet([]);
    keeper.update([before], new Map([[before.key, none]]));
    keeper.adopt(after, none);
    keeper.update([after], new Map([[after.key, none]]));
    expect(keeper.endpoints.all().map(({ target }) => target)).toEqual(["y:80"]);
  });

  it.each([
    { name: "what a check starts out", plan: { activeCheck: active({ startsOut: true }) } },
    { name: "what a person took out", plan: { overrides: [override()] } },
  ])("judges $name when it comes into use, and not before", ({ plan }) => {
    const { table, keeper, prepared, probesAtMs } = rig();
    const { pool, set, row, use } = prepared("10.0.0.1", plan);
    keeper.adopt(pool, set);
    expect([keeper.pools, table.isOut(row), probesAtMs]).toEqual([[], false, []]);
    use();
    expect(table.isOut(row)).toBe(true);
  });

  it("judges an endpoint that comes back when it comes into use, and not before", () => {
    const { keeper, rows, timers, prepared, use, flip, table } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { passive });
    flip(row!, true);
    rows.sent(1_000, new Set(), new Set(), timers.nowMs());
    keeper.update([], new Map());
    const { pool, set, use: useAgain } = prepared("10.0.0.1");
    keeper.adopt(pool, set);
    expect(table.isOut(row!)).toBe(true);
    useAgain();
    // No check is configured any more that could bring it back.
    expect(table.isOut(row!)).toBe(false);
  });

  it("says what keeps an endpoint out when one of several reasons is over", () => {
    const { table, rows, poolRow, keeper, use, flip, view } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { passive });
    table.eject(poolRow, row!);
    keeper.ejected(rows.endpointAt(row!)!, "refused");
    expect(view(row!)).toMatchObject({ isHealthy: false, source: "outlier", transitionCount: 1 });
    flip(row!, true);
    expect(view(row!)).toMatchObject({ source: "passive", reason: "requests sent there came to nothing: 503" });
    use({ a: ["10.0.0.1"] }, { passive, overrides: [override()] });
    expect(view(row!)).toMatchObject({ source: "manual", reason: "a person set it unhealthy", transitionCount: 1 });
    use({ a: ["10.0.0.1"] }, { passive });
    expect(view(row!)).toMatchObject({ isHealthy: false, source: "passive", sinceUnixMs: 1_000_000 });
    flip(row!, false);
    expect(view(row!)).toMatchObject({ isHealthy: false, source: "outlier" });
    table.readmit(poolRow, row!);
    keeper.readmitted(rows.endpointAt(row!)!);
    expect(view(row!)).toMatchObject({
      isHealthy: true,
      source: "outlier",
      reason: "it answers again",
      transitionCount: 2,
    });
  });

  it("asks for a trial where no probe could bring an endpoint back, and lets it in when that went well", () => {
    const { table, withoutWayBack, keeper, use, flip } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { passive });
    flip(row!, true);
    expect(withoutWayBack).toEqual([row]);
    keeper.recovered(row!);
    expect(table.isOut(row!)).toBe(false);
    expect(table.checkCounts(row!)).toBe(0);
    use({ a: ["10.0.0.1"] }, { passive, activeCheck: active() });
    flip(row!, true);
    expect(withoutWayBack).toEqual([row]);
    // The check that would have brought it back is gone.
    use({ a: ["10.0.0.1"] }, { passive, activeCheck: active({ unhealthyIntervalMs: 0 }) });
    expect(withoutWayBack).toEqual([row, row]);
  });

  it("lets an endpoint in when no check is configured any more", () => {
    const { table, use, flip, view } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { passive });
    flip(row!, true);
    use({ a: ["10.0.0.1"] });
    expect(table.isOut(row!)).toBe(false);
    expect(view(row!)).toMatchObject({
      isHealthy: true,
      reason: "no health check is configured any more",
      isChecked: false,
    });
  });

  it("keeps a new endpoint out until its first probe where that is wanted, and none that was there before", async () => {
    const { timers, table, use, view } = rig();
    const [old] = use({ a: ["10.0.0.1"] }, { activeCheck: active() });
    const startsOut = active({ startsOut: true, unhealthyIntervalMs: 60_000 });
    const [, fresh] = use({ a: ["10.0.0.1"], b: ["10.0.0.2"] }, { activeCheck: startsOut });
    expect([table.isOut(old!), table.isOut(fresh!)]).toEqual([false, true]);
    expect(view(fresh!)).toMatchObject({ source: "active", reason: "no probe has succeeded yet" });
    await timers.pass(1_000);
    expect(table.isOut(fresh!)).toBe(false);
  });

  it("knows an endpoint again that was away for a while", async () => {
    const { timers, table, outcomes, use, view } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { activeCheck: active({ unhealthyIntervalMs: 60_000 }) });
    outcomes.set("10.0.0.1", down);
    await timers.pass(1_000);
    use({}, { activeCheck: active() });
    await timers.pass(10_000);
    expect(use({ a: ["10.0.0.1"] }, { activeCheck: active() })).toEqual([row]);
    expect(table.isOut(row!)).toBe(true);
    expect(view(row!)).toMatchObject({
      isHealthy: false,
      source: "active",
      sinceUnixMs: 1_001_000,
      transitionCount: 1,
    });
  });

  it("finds what a worker did without living to say so", async () => {
    const { timers, table, poolRow, withoutWayBack, use, view } = rig();
    const [a, b] = use({ a: ["10.0.0.1"], b: ["10.0.0.2"] }, { passive });
    table.setFlag(poolRow, a!, "unhealthy", true);
    table.eject(poolRow, b!);
    await timers.pass(5_000);
    expect([view(a!).source, view(b!).source]).toEqual(["passive", "outlier"]);
    expect(withoutWayBack).toEqual([a]);
  });

  it("tells of targets whose names have no address, and of what is gone", () => {
    const { keeper, use } = rig();
    use({ a: [], b: ["10.0.0.2"] });
    expect(
      keeper.endpoints
        .takeAll()
        .map(({ target, address, source, isHealthy }) => ({ target, address, source, isHealthy })),
    ).toEqual([
      { target: "b:80", address: "10.0.0.2:80", source: "", isHealthy: true },
      { target: "a:80", address: "", source: "dns", isHealthy: false },
    ]);
    expect(keeper.endpoints.takeChanged(true)).toEqual([]);
    use({ a: ["10.0.0.1"] });
    expect(keeper.endpoints.takeChanged(false).map(({ address, isGone }) => [address, isGone])).toEqual([
      ["10.0.0.2:80", true],
      ["", true],
      ["10.0.0.1:80", false],
    ]);
    expect(keeper.endpoints.takeChanged(false)).toEqual([]);
  });

  it("tells of probes that changed nothing only when counts are asked for", async () => {
    const { timers, keeper, use } = rig();
    use({ a: ["10.0.0.1"] }, { activeCheck: active() });
    keeper.endpoints.takeAll();
    await timers.pass(1_000);
    expect(keeper.endpoints.takeChanged(false)).toEqual([]);
    expect(keeper.endpoints.takeChanged(true)).toMatchObject([{ probeSuccesses: 1 }]);
    expect(keeper.endpoints.takeChanged(true)).toEqual([]);
  });

  it("tells every service of its own host, of what is out, and of what is gone for one of them", () => {
    const { timers, table, rows, keeper } = rig();
    const poolRow = rows.poolRow("host:h:80")!;
    let sequence = 100;
    const use = (addresses: readonly string[], serviceIds: readonly string[]) => {
      const pool: PoolPlan = {
        ...plain,
        key: "host:h:80",
        name: "h",
        isUpstream: false,
        serviceIds,
        members: [member],
      };
      const endpoints = addresses.map((address) => {
        const row = rows.endpointRow({ targetId: "", poolKey: pool.key, host: "h", name: null, address, port: 80 })!;
        return testEndpoint({ row, address });
      });
      rows.sent(++sequence, new Set([pool.key]), new Set(endpoints.map(({ row }) => row)), timers.nowMs());
      keeper.update([pool], new Map([[pool.key, testSet(endpoints, { poolKey: pool.key })]]));
      return endpoints.map(({ row }) => row);
    };
    const told = () =>
      keeper.endpoints
        .takeChanged(false)
        .map((view) => `${view.upstreamId}${view.serviceId} ${view.address} ${view.isGone ? "gone" : view.source}`);
    use([], ["s1", "s2"]);
    expect(told()).toEqual(["s1  dns", "s2  dns"]);
    const [row] = use(["10.0.0.1"], ["s1", "s2"]);
    expect(told()).toEqual(["s1  gone", "s2  gone", "s1 10.0.0.1:80 ", "s2 10.0.0.1:80 "]);
    table.eject(poolRow, row!);
    keeper.ejected(rows.endpointAt(row!)!, "refused");
    expect(told()).toEqual(["s1 10.0.0.1:80 outlier", "s2 10.0.0.1:80 outlier"]);
    use(["10.0.0.1"], ["s2"]);
    expect(told()).toEqual(["s1 10.0.0.1:80 gone"]);
    expect(keeper.endpoints.endpoints()).toHaveLength(1);
    expect(endpointsPage(keeper, table)).toMatchObject({
      endpoints: [{ upstream: null, upstream_id: null, service_id: "s2", target: "h:80", healthy: false }],
    });
    expect(healthMetrics(keeper, table, 10)[0]!.samples).toEqual([]);
  });

  it("shows it all on the status page and as metrics", () => {
    const { table, keeper, use } = rig();
    use({ a: ["10.0.0.1"], b: ["10.0.0.2"] }, { overrides: [override(), override({ id: "o2", targetId: "t-b" })] });
    expect(endpointsPage(keeper, table)).toMatchObject({
      total: 2,
      endpoints: [{ upstream: "u", target: "a:80", address: "10.0.0.1:80", healthy: false, source: "manual" }, {}],
    });
    const metrics = Object.fromEntries(
      healthMetrics(keeper, table, 1).map(({ name, samples, value }) => [name, samples ?? value]),
    );
    expect(metrics).toMatchObject({
      penstock_endpoint_healthy: [
        {
          labels: [
            ["upstream", "u"],
            ["target", "a:80"],
            ["address", "10.0.0.1:80"],
          ],
          value: 0,
        },
      ],
      penstock_upstream_panic: [{ labels: [["upstream", "u"]], value: 1 }],
      penstock_endpoints_unhealthy: 2,
      penstock_endpoint_transitions_total: 2,
    });
  });
});

describe("HealthKeeper, what people decide", () => {
  it("keeps a target out, and every address that it gets, until the decision goes", () => {
    const { table, use } = rig();
    const [a, b] = use({ a: ["10.0.0.1"], b: ["10.0.0.2"] }, { overrides: [override()] });
    expect([table.isOut(a!), table.isOut(b!)]).toEqual([true, false]);
    const [, second] = use({ a: ["10.0.0.1", "10.0.0.9"], b: ["10.0.0.2"] }, { overrides: [override()] });
    expect(table.isOut(second!)).toBe(true);
    use({ a: ["10.0.0.1"], b: ["10.0.0.2"] });
    expect([table.isOut(a!), table.isOut(b!), table.isOut(second!)]).toEqual([false, false, false]);
  });

  it("decides on one address, however it is spelled", () => {
    const { table, use } = rig();
    const endpoint = { address: "2001:db8::5", port: 80 };
    const [a, b] = use({ a: ["2001:0db8:0::5", "10.0.0.1"] }, { overrides: [override({ endpoint })] });
    expect([table.isOut(a!), table.isOut(b!)]).toEqual([true, false]);
  });

  it("goes by the newest of the decisions on a target and on its address", () => {
    const { table, use } = rig();
    const endpoint = { address: "10.0.0.1", port: 80 };
    const ofAddress = override({ id: "o2", endpoint, isHealthy: true, decidedAtMs: 2 });
    const [a, b] = use({ a: ["10.0.0.1", "10.0.0.2"] }, { overrides: [ofAddress, override()] });
    expect([table.isOut(a!), table.isOut(b!)]).toEqual([false, true]);
    use({ a: ["10.0.0.1", "10.0.0.2"] }, { overrides: [ofAddress, override({ decidedAtMs: 3 })] });
    expect([table.isOut(a!), table.isOut(b!)]).toEqual([true, true]);
  });

  it("forgets once what was held against it, and lets checks take it out again", () => {
    const { table, poolRow, forgiven, use, flip, view } = rig();
    const healthy = override({ isHealthy: true });
    const [row] = use({ a: ["10.0.0.1"] }, { passive });
    flip(row!, true);
    table.eject(poolRow, row!);
    use({ a: ["10.0.0.1"] }, { passive, overrides: [healthy] });
    expect(table.isOut(row!)).toBe(false);
    expect(forgiven).toEqual([row]);
    expect(view(row!)).toMatchObject({ isHealthy: true, source: "manual", reason: "a person set it healthy" });
    flip(row!, true);
    use({ a: ["10.0.0.1"] }, { passive, overrides: [healthy] });
    expect(table.isOut(row!)).toBe(true);
    use({ a: ["10.0.0.1"] }, { passive, overrides: [{ ...healthy, decidedAtMs: 2 }] });
    expect(table.isOut(row!)).toBe(false);
    expect(forgiven).toEqual([row, row]);
  });

  it("keeps it in for a while, whatever checks say, and then goes by the checks", async () => {
    const { timers, table, use, flip, view } = rig();
    const [row] = use(
      { a: ["10.0.0.1"] },
      { passive, overrides: [override({ isHealthy: true, expiresAtMs: 1_060_000 })] },
    );
    flip(row!, true);
    expect(table.isOut(row!)).toBe(false);
    await timers.pass(59_999);
    expect(table.isOut(row!)).toBe(false);
    await timers.pass(1);
    expect(table.isOut(row!)).toBe(true);
    expect(view(row!)).toMatchObject({ isHealthy: false, source: "passive" });
  });

  it("row 9: probes as ever, takes nobody out and lets nobody in when the wall clock is set by an hour", async () => {
    const hourMs = 3_600_000;
    const run = async (offsetsMs: readonly number[]) => {
      const { timers, table, use, outcomes, transitions, probesAtMs, wall } = rig();
      outcomes.set("10.0.0.2", down);
      const rows = use({ a: ["10.0.0.1"], b: ["10.0.0.2"] }, { activeCheck: active(), passive });
      await timers.pass(5_000);
      const toldCount = transitions.length;
      for (const offsetMs of offsetsMs) {
        wall.offsetMs = offsetMs;
        await timers.pass(5_000);
        expect([transitions.length, ...rows.map((row) => table.isOut(row))]).toEqual([toldCount, false, true]);
      }
      return probesAtMs;
    };
    const [still, set] = [await run([0, 0, 0]), await run([hourMs, -hourMs, 0])];
    expect(still.length).toBeGreaterThan(30);
    expect(set).toEqual(still);
  });

  it("ends a decision by its own clock", async () => {
    const { timers, table, use, transitions } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { overrides: [override({ expiresAtMs: 1_030_000 })] });
    expect(table.isOut(row!)).toBe(true);
    await timers.pass(30_000);
    expect(table.isOut(row!)).toBe(false);
    expect(transitions).toEqual([
      "10.0.0.1:80 out manual: a person set it unhealthy until 1970-01-01T00:17:10.000Z",
      "10.0.0.1:80 in manual: what a person had decided is over",
    ]);
    // What is over when it comes says nothing.
    use({ a: ["10.0.0.1"] }, { overrides: [override({ expiresAtMs: 1_030_000, decidedAtMs: 9 })] });
    expect(table.isOut(row!)).toBe(false);
  });
});

import { describe, expect, it } from "vitest";
import { type ActiveCheckConfig, type ProbeConfig, StatusKind } from "../config/health-check-config.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import { ActiveChecks } from "./active-checks.ts";

const statusKinds = new Uint8Array(1_000);
statusKinds[200] = StatusKind.Good;
statusKinds[503] = StatusKind.Bad;

const probeConfig: ProbeConfig = {
  ...{ key: "k", type: "http", timeoutMs: 500, port: null, method: "GET", path: "/", headers: [], hostHeader: null },
  ...{ serverName: null, isVerified: true, clientPairs: [], bodyContains: null, grpcService: "" },
};

function check(given: Partial<ActiveCheckConfig> = {}): ActiveCheckConfig {
  return {
    probe: probeConfig,
    statusKinds,
    thresholds: { successes: 2, httpFailures: 2, tcpFailures: 1, timeouts: 1 },
    healthyIntervalMs: 1_000,
    unhealthyIntervalMs: 100,
    concurrency: 10,
    jitterRatio: 0,
    startsOut: false,
    ...given,
  };
}

const good: ProbeOutcome = { type: "status", status: 200, hasText: true };
const bad: ProbeOutcome = { type: "status", status: 503, hasText: true };

/** Endpoints of two pools, and probes that are answered as the test says. */
function rig() {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: 10, poolRowsMax: 2 });
  const rows = new EndpointRows(table, 1_000);
  const endpoint = (poolKey: string, port: number) => {
    rows.poolRow(poolKey);
    const row = rows.endpointRow({ targetId: "t", poolKey, host: "h.test", address: "10.0.0.1", port })!;
    return rows.endpointAt(row)!;
  };
  const outcomes = new Map<number, ProbeOutcome>();
  const sent: string[] = [];
  const events: string[] = [];
  const checks = new ActiveChecks({
    table,
    rows,
    timers,
    random: () => 0,
    probesMax: 100,
    async send({ address, port, host }) {
      sent.push(`${address}:${port} ${host}`);
      return outcomes.get(port) ?? good;
    },
    onProbed: ({ poolKey }, isSuccess) => events.push(`${poolKey} ${isSuccess ? "ok" : "failed"}`),
    onFlip: ({ poolKey }, flip, reason) => events.push(`${poolKey} ${flip}: ${reason}`),
  });
  return { timers, table, rows, endpoint, outcomes, sent, events, checks };
}

describe("ActiveChecks", () => {
  it("takes an endpoint out and brings it back by its thresholds, at its intervals", async () => {
    const { timers, table, endpoint, outcomes, sent, events, checks } = rig();
    const a = endpoint("p", 1);
    outcomes.set(1, bad);
    checks.update([{ endpoint: a, check: check() }]);
    await timers.pass(2_000);
    expect(events).toEqual(["p failed", "p failed", "p unhealthy: GET / was answered with 503"]);
    expect(table.isOut(a.row)).toBe(true);
    events.length = 0;
    outcomes.set(1, good);
    await timers.pass(200);
    expect(events).toEqual(["p ok", "p ok", "p healthy: GET / was answered with 200"]);
    expect(table.isOut(a.row)).toBe(false);
    const count = sent.length;
    await timers.pass(10_000);
    expect(sent.length - count).toBe(10);
  });

  it("probes an address once for two pools, each with its own thresholds", async () => {
    const { timers, table, endpoint, outcomes, sent, checks } = rig();
    const [a, b] = [endpoint("p", 1), endpoint("q", 1)];
    outcomes.set(1, { type: "failed", problem: "ECONNREFUSED" });
    const lenient = check({ thresholds: { successes: 1, httpFailures: 1, tcpFailures: 3, timeouts: 1 } });
    checks.update([
      { endpoint: a, check: check({ unhealthyIntervalMs: 1_000 }) },
      { endpoint: b, check: lenient },
    ]);
    expect(checks.proberCount).toBe(1);
    await timers.pass(2_000);
    expect(sent).toHaveLength(2);
    expect([table.isOut(a.row), table.isOut(b.row)]).toEqual([true, false]);
    await timers.pass(1_000);
    expect([table.isOut(a.row), table.isOut(b.row)]).toEqual([true, true]);
  });

  it("goes on through a change of the configuration where the check is the same", async () => {
    const { timers, table, endpoint, outcomes, sent, checks } = rig();
    const a = endpoint("p", 1);
    outcomes.set(1, bad);
    checks.update([{ endpoint: a, check: check() }]);
    await timers.pass(1_000);
    for (let i = 0; i < 20; i++) checks.update([{ endpoint: a, check: check() }]);
    await timers.pass(1_000);
    expect(sent).toHaveLength(2);
    expect(table.isOut(a.row)).toBe(true);
  });

  it("goes by new thresholds from the next probe on, keeping what was counted", async () => {
    const { timers, table, endpoint, outcomes, checks } = rig();
    const a = endpoint("p", 1);
    outcomes.set(1, bad);
    const patient = check({ thresholds: { successes: 1, httpFailures: 100, tcpFailures: 0, timeouts: 0 } });
    checks.update([{ endpoint: a, check: patient }]);
    await timers.pass(3_000);
    checks.update([{ endpoint: a, check: check({ thresholds: { ...patient.thresholds, httpFailures: 4 } }) }]);
    expect(table.isOut(a.row)).toBe(false);
    await timers.pass(1_000);
    expect(table.isOut(a.row)).toBe(true);
  });

  it("says nothing of an endpoint that is gone when its probe ends, nor of one with another check by then", async () => {
    const { timers, table, rows, endpoint, outcomes, events, checks } = rig();
    const [a, b] = [endpoint("p", 1), endpoint("p", 2)];
    for (const port of [1, 2]) outcomes.set(port, { type: "timeout" });
    checks.update([
      { endpoint: a, check: check() },
      { endpoint: b, check: check() },
    ]);
    const pending = timers.pass(1_000);
    rows.sent(1, new Set(["p"]), new Set([b.row]), 0);
    checks.update([{ endpoint: b, check: check({ probe: { ...probeConfig, key: "other" } }) }]);
    await pending;
    expect(events.filter((event) => event.startsWith("p unhealthy"))).toHaveLength(1);
    expect([table.isOut(a.row), table.isOut(b.row)]).toEqual([false, true]);
  });

  it("leaves alone a status on neither list", async () => {
    const { timers, endpoint, outcomes, events, checks } = rig();
    outcomes.set(1, { type: "status", status: 404, hasText: true });
    checks.update([{ endpoint: endpoint("p", 1), check: check() }]);
    await timers.pass(5_000);
    expect(events).toEqual([]);
  });

  it("probes at the other interval when something else has put the endpoint out", async () => {
    const { timers, table, endpoint, sent, checks } = rig();
    const a = endpoint("p", 1);
    checks.update([{ endpoint: a, check: check({ healthyIntervalMs: 0 }) }]);
    await timers.pass(5_000);
    expect(sent).toHaveLength(0);
    table.setFlag(a.poolRow, a.row, "unhealthy", true);
    checks.flipped(a.row);
    await timers.pass(200);
    expect(sent).toHaveLength(2);
    expect(table.isOut(a.row)).toBe(false);
    await timers.pass(5_000);
    expect(sent).toHaveLength(2);
  });

  it("probes at another port", async () => {
    const { timers, endpoint, sent, checks } = rig();
    checks.update([{ endpoint: endpoint("p", 1), check: check({ probe: { ...probeConfig, port: 99 } }) }]);
    await timers.pass(1_000);
    expect(sent).toEqual(["10.0.0.1:99 h.test"]);
  });

  it("does nothing more once closed", async () => {
    const { timers, endpoint, sent, checks } = rig();
    checks.update([{ endpoint: endpoint("p", 1), check: check() }]);
    checks.close();
    await timers.pass(5_000);
    expect(sent).toEqual([]);
    expect(timers.waitingCount).toBe(0);
  });
});

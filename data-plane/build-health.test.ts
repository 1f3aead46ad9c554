import { describe, expect, it, onTestFinished } from "vitest";
import { buildHealth } from "./build-health.ts";
import { defaultBalancing } from "./config/balancing-config.ts";
import { StatusKind } from "./config/health-check-config.ts";
import { testEndpoint, testPool, testSet } from "./config/worker-config.test-entities.ts";
import { nodeCounters } from "./telemetry/counters.ts";
import { openLog } from "./telemetry/log.ts";
import { EndpointRows } from "./upstream/endpoint-rows.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";
import type { HealthOverridePlan, PoolPlan } from "./upstream/pool-plan.ts";
import type { NameResolver } from "./upstream/resolve-name.ts";

/** The parts as a node has them, with a pool of two endpoints that come back slowly. */
function rig() {
  const table = EndpointTable.create({ endpointRowsMax: 4, poolRowsMax: 2 });
  const rows = new EndpointRows(table, 300_000);
  const poolRow = rows.poolRow("upstream:u")!;
  const names = { describe: () => ({}), endpointsOf: () => [], refresh: () => {} } as unknown as NameResolver;
  const health = buildHealth({
    ...{ table, rows, names, upstreamCaPems: null, timesOf: () => null, counters: nodeCounters() },
    log: openLog("silent"),
  });
  onTestFinished(() => health.close());
  const endpoints = ["a", "b"].map((host) => {
    const place = { targetId: `t-${host}`, poolKey: "upstream:u", host, address: "192.0.2.1", port: 80 };
    return testEndpoint({ ...place, row: rows.endpointRow(place)! });
  });
  const use = (overrides: readonly HealthOverridePlan[] = []) => {
    const slowStart = { windowMs: 86_400_000, minRatio: 0.1, aggression: 1 };
    const thresholds = { successes: 1, httpFailures: 1, tcpFailures: 1, timeouts: 1 };
    const { poolRow: _, ...pool } = testPool({
      balancing: { ...defaultBalancing, slowStart },
      passive: { readsStatuses: true, statusKinds: new Uint8Array(1_000).fill(StatusKind.Good), thresholds },
    });
    const members = endpoints.map(({ port, weight }, i) => {
      const host = "ab"[i]!;
      const rest = { priority: 0, zone: null, maxInFlight: 0, impliedPort: 80 };
      return { targetId: `t-${host}`, host, port, weight, ...rest };
    });
    const plan: PoolPlan = {
      ...{
        ...pool,
        weightBasis: "per_address",
        usesSrvName: false,
        slots: 10_000,
        members,
        activeCheck: null,
        overrides,
      },
    };
    rows.sent(1, new Set(["upstream:u"]), new Set(endpoints.map(({ row }) => row)), 0);
    health.update([plan], new Map([["upstream:u", testSet(endpoints)]]));
  };
  use();
  return { health, table, poolRow, row: endpoints[0]!.row, use };
}

describe("slow start of an endpoint", () => {
  it("that a worker ejected and a trial brings back", () => {
    const { health, table, poolRow, row } = rig();
    table.eject(poolRow, row);
    health.found({ type: "ejected", poolKey: "upstream:u", endpointRow: row, cause: "resets", retryAfterMs: 0 });
    expect([table.isOut(row), table.ramp(row)]).toEqual([true, 100]);
    health.found({ type: "trial", endpointRow: row, outcome: "passed", cause: "" });
    expect([table.isOut(row), table.ramp(row)]).toEqual([false, 100]);
  });

  it("that a worker's passive checks take out and bring back", () => {
    const { health, table, poolRow, row } = rig();
    for (const flip of ["unhealthy", "healthy"] as const) {
      table.setFlag(poolRow, row, "unhealthy", flip === "unhealthy");
      health.found({ type: "health", endpointRow: row, flip, cause: "status 500" });
      expect([table.isOut(row), table.ramp(row)]).toEqual([flip === "unhealthy", 100]);
    }
  });

  it("that a person takes out and puts back", () => {
    const { table, row, use } = rig();
    use([{ id: "o", targetId: "t-a", endpoint: null, isHealthy: false, expiresAtMs: null, decidedAtMs: 1 }]);
    expect([table.isOut(row), table.ramp(row)]).toEqual([true, 100]);
    use();
    expect([table.isOut(row), table.ramp(row)]).toEqual([false, 100]);
  });
});

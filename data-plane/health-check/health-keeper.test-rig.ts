import { type ActiveCheckConfig, type PassiveCheckConfig, StatusKind } from "../config/health-check-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { ProbeOutcome } from "../health/probe-outcome.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import type { HealthOverridePlan, PoolPlan } from "../upstream/pool-plan.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import { HealthKeeper } from "./health-keeper.ts";

const statusKinds = new Uint8Array(1_000);
statusKinds[200] = StatusKind.Good;
statusKinds[503] = StatusKind.Bad;

export const passive: PassiveCheckConfig = {
  readsStatuses: true,
  statusKinds,
  thresholds: { successes: 1, httpFailures: 1, tcpFailures: 1, timeouts: 1 },
};

export function active(given: Partial<ActiveCheckConfig> = {}): ActiveCheckConfig {
  return {
    probe: {
      ...{
        key: "k",
        type: "http",
        timeoutMs: 500,
        port: null,
        method: "GET",
        path: "/",
        headers: [],
        hostHeader: null,
      },
      ...{ serverName: null, isVerified: true, clientPairs: [], bodyContains: null, grpcService: "" },
    },
    statusKinds,
    thresholds: { successes: 1, httpFailures: 1, tcpFailures: 1, timeouts: 1 },
    ...{ healthyIntervalMs: 1_000, unhealthyIntervalMs: 1_000, concurrency: 10, jitterRatio: 0, startsOut: false },
    ...given,
  };
}

export function override(given: Partial<HealthOverridePlan> = {}): HealthOverridePlan {
  const decided = { isHealthy: false, expiresAtMs: null, decidedAtMs: 1 };
  return { id: "o", targetId: "t-a", endpoint: null, ...decided, ...given };
}

type Plan = Partial<Pick<PoolPlan, "activeCheck" | "passive" | "overrides">>;

export const member = {
  targetId: "",
  host: "h",
  port: 80,
  weight: 100,
  priority: 0,
  zone: null,
  maxInFlight: 0,
  impliedPort: 80,
};
const { poolRow: _, ...pool } = testPool();
export const plain = {
  ...pool,
  activeCheck: null,
  overrides: [],
  weightBasis: "per_address",
  usesSrvName: false,
  slots: 10_000,
} as const;

/** A pool of targets, each with the addresses that the test gives, and probes that are answered as it says. */
export function rig() {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: 20, poolRowsMax: 2 });
  const rows = new EndpointRows(table, 300_000);
  const poolRow = rows.poolRow("upstream:u")!;
  const outcomes = new Map<string, ProbeOutcome>();
  const transitions: string[] = [];
  const withoutWayBack: number[] = [];
  const forgiven: number[] = [];
  /** When probes were sent, by the monotonic clock. */
  const probesAtMs: number[] = [];
  /** What somebody has set the clock on the wall to. */
  const wall = { offsetMs: 0 };
  let sequence = 0;
  const keeper = new HealthKeeper({
    ...{ table, rows, timers, probesMax: 10 },
    nowUnixMs: () => 1_000_000 + timers.nowMs() + wall.offsetMs,
    random: () => 0,
    send: async ({ address }) => {
      probesAtMs.push(timers.nowMs());
      return outcomes.get(address) ?? { type: "status", status: 200, hasText: true };
    },
    dnsOf: () => "A",
    onProbed: () => {},
    onTransition: ({ address, isHealthy, source, reason }) =>
      transitions.push(`${address} ${isHealthy ? "in" : "out"} ${source}: ${reason}`),
    onPassiveUnhealthy: (row) => withoutWayBack.push(row),
    onForgiven: (row) => forgiven.push(row),
  });
  /** @param targets addresses by the target's name; the target's id is "t-NAME" */
  const use = (targets: Readonly<Record<string, readonly string[]>>, plan: Plan = {}) => {
    const members = Object.keys(targets).map((host) => ({ ...member, targetId: `t-${host}`, host }));
    const pool: PoolPlan = { ...plain, members, ...plan };
    const endpoints = members.flatMap(({ targetId, host, port, weight }) =>
      targets[host]!.map((address) => {
        const row = rows.endpointRow({ targetId, poolKey: pool.key, host, name: null, address, port })!;
        return testEndpoint({ row, address, port, weight, hostHeader: host });
      }),
    );
    const set = testSet(endpoints);
    rows.sent(++sequence, new Set([pool.key]), new Set(endpoints.map(({ row }) => row)), timers.nowMs());
    keeper.update([pool], new Map([[pool.key, set]]));
    return endpoints.map(({ row }) => row);
  };
  /** A pool that is to be used next. */
  const prepared = (address: string, plan: Plan = {}) => {
    const [targetId, host, port] = ["t-a", "a", 80] as const;
    const pool: PoolPlan = { ...plain, members: [{ ...member, targetId, host }], ...plan };
    const row = rows.endpointRow({ targetId, poolKey: pool.key, host, name: null, address, port })!;
    const set = testSet([testEndpoint({ row, address, port, weight: 100, hostHeader: host })]);
    const useIt = () => {
      rows.sent(++sequence, new Set([pool.key]), new Set([row]), timers.nowMs());
      keeper.update([pool], new Map([[pool.key, set]]));
    };
    return { pool, set, row, use: useIt };
  };
  const flip = (row: number, isOut: boolean) => {
    table.setFlag(poolRow, row, "unhealthy", isOut);
    keeper.flippedByTraffic(row, isOut ? "unhealthy" : "healthy", "503");
  };
  const view = (row: number) => keeper.endpoints.all().find((each) => each.row === row)!;
  return {
    timers,
    table,
    rows,
    poolRow,
    outcomes,
    transitions,
    withoutWayBack,
    forgiven,
    keeper,
    use,
    prepared,
    flip,
    view,
    probesAtMs,
    wall,
  };
}

export const down: ProbeOutcome = { type: "failed", problem: "ECONNREFUSED" };

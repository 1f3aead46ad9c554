import { describe, expect, it } from "vitest";
import { type CheckThresholds, type PassiveCheckConfig, StatusKind } from "../config/health-check-config.ts";
import { testEndpoint, testPool } from "../config/worker-config.test-entities.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import type { UpstreamLoss } from "../upstream/http1-client.ts";
import { PassiveChecks } from "./passive-checks.ts";

/** One endpoint, and the passive checks of two workers. */
function rig(thresholds: Partial<CheckThresholds>, given: Partial<PassiveCheckConfig> | null = {}) {
  const table = EndpointTable.create({ endpointRowsMax: 2, poolRowsMax: 1 });
  const poolRow = table.allocatePoolRow()!;
  const row = table.allocateEndpointRow()!;
  const statusKinds = new Uint8Array(1_000);
  statusKinds[200] = StatusKind.Good;
  statusKinds[503] = StatusKind.Bad;
  const pool = testPool({
    poolRow,
    passive:
      given === null
        ? null
        : {
            readsStatuses: true,
            statusKinds,
            thresholds: { successes: 1, httpFailures: 0, tcpFailures: 0, timeouts: 0, ...thresholds },
            ...given,
          },
  });
  const endpoint = testEndpoint({ row });
  const flips: string[] = [];
  const workers = [table, EndpointTable.attach(table.buffer, 1)].map(
    (attached, i) => new PassiveChecks(attached, (_, flip, cause) => flips.push(`${i} ${flip}: ${cause}`)),
  );
  return { table, poolRow, row, pool, endpoint, flips, first: workers[0]!, second: workers[1]! };
}

describe("PassiveChecks", () => {
  it("takes an endpoint out at its threshold, over all workers, and says so once", () => {
    const { table, row, pool, endpoint, flips, first, second } = rig({ httpFailures: 3 });
    first.answered(pool, endpoint, 503);
    second.answered(pool, endpoint, 503);
    expect(table.isOut(row)).toBe(false);
    second.answered(pool, endpoint, 503);
    first.answered(pool, endpoint, 503);
    expect(table.isOut(row)).toBe(true);
    expect(flips).toEqual(["1 unhealthy: 503"]);
  });

  it("brings it back by successes, and pickers notice both", () => {
    const { table, poolRow, row, pool, endpoint, flips, first } = rig({ tcpFailures: 1, successes: 2 });
    const before = table.generation(poolRow);
    first.lost(pool, endpoint, "refused");
    first.answered(pool, endpoint, 200);
    first.answered(pool, endpoint, 200);
    expect(table.isOut(row)).toBe(false);
    expect(table.generation(poolRow) - before).toBe(2);
    expect(flips).toEqual(["0 unhealthy: refused", "0 healthy: answered"]);
  });

  it.each<{ losses: UpstreamLoss[]; by: Partial<CheckThresholds>; isOut: boolean }>([
    { losses: ["closed", "tls_alert"], by: { tcpFailures: 2 }, isOut: true },
    { losses: ["timeout", "connect_timeout"], by: { timeouts: 2 }, isOut: true },
    { losses: ["timeout", "closed"], by: { timeouts: 2, tcpFailures: 2 }, isOut: false },
    { losses: ["no_socket", "defect"], by: { timeouts: 1, tcpFailures: 1, httpFailures: 1 }, isOut: false },
  ])("counts $losses by $by", ({ losses, by, isOut }) => {
    const { table, row, pool, endpoint, first } = rig(by);
    for (const loss of losses) first.lost(pool, endpoint, loss);
    expect(table.isOut(row)).toBe(isOut);
  });

  it("counts a 504 as a timeout, and a status in neither list as nothing", () => {
    const { table, row, pool, endpoint, first } = rig({ timeouts: 1, httpFailures: 1 });
    for (const status of [404, 999, 101]) first.answered(pool, endpoint, status);
    expect(table.isOut(row)).toBe(false);
    first.answered(pool, endpoint, 504);
    expect(table.isOut(row)).toBe(true);
  });

  it("takes any answer for a success where only connections are checked", () => {
    const { table, row, pool, endpoint, first } = rig({ tcpFailures: 1, httpFailures: 1 }, { readsStatuses: false });
    first.lost(pool, endpoint, "refused");
    first.answered(pool, endpoint, 503);
    expect(table.isOut(row)).toBe(false);
  });

  it("does nothing where the pool has no passive check", () => {
    const { table, row, pool, endpoint, first } = rig({}, null);
    for (let i = 0; i < 300; i++) {
      first.answered(pool, endpoint, 503);
      first.lost(pool, endpoint, "refused");
    }
    expect(table.isOut(row)).toBe(false);
    expect(table.checkCounts(row)).toBe(0);
  });
});

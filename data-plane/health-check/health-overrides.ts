import { canonicalAddress } from "../upstream/canonical-address.ts";
import type { EndpointRow } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { HealthOverridePlan } from "../upstream/pool-plan.ts";
import type { Timers } from "../upstream/timers.ts";

export interface HealthOverridesOptions {
  readonly table: EndpointTable;
  readonly timers: Timers;
  readonly nowUnixMs: () => number;
  /** What people say of the endpoint is another thing than before. */
  readonly onDecided: (endpoint: EndpointRow, reason: string) => void;
  /** What was held against the endpoint is forgotten: a person said that it is healthy. */
  readonly onForgiven: (endpoint: EndpointRow) => void;
}

/** A pool's endpoints, and what people decided of its targets. */
export interface OverriddenPool {
  readonly endpoints: readonly EndpointRow[];
  readonly overrides: readonly HealthOverridePlan[];
}

/** The longest that a timer can be set for; then it is looked again. */
const lookAgainMs = 86_400_000;

/**
 * Puts endpoints in or out by what people decided, until that expires: by the node's own clock, since the control plane
 * may be away by then. Of the decisions on a target and on one of its addresses the newest stands.
 */
export class HealthOverrides {
  readonly #options: HealthOverridesOptions;
  #pools: readonly OverriddenPool[] = [];
  /** The endpoints that a person keeps in or out. */
  #forced = new Set<EndpointRow>();
  /** When each decision was made that was acted on, by override. */
  #decidedAt = new Map<string, number>();
  #cancelTimer = () => {};

  constructor(options: HealthOverridesOptions) {
    this.#options = options;
  }

  /** These decisions stand from now on, and no others. */
  update(pools: readonly OverriddenPool[]): void {
    this.#pools = pools.filter(({ overrides }) => overrides.length > 0);
    this.#apply();
  }

  close(): void {
    this.#cancelTimer();
  }

  #apply(): void {
    const { timers, nowUnixMs } = this.#options;
    const nowMs = nowUnixMs();
    const decidedAt = new Map<string, number>();
    const forced = new Set<EndpointRow>();
    let nextExpiryMs = Number.POSITIVE_INFINITY;
    for (const { endpoints, overrides } of this.#pools) {
      for (const { id, decidedAtMs, expiresAtMs } of overrides) {
        decidedAt.set(id, decidedAtMs);
        if (expiresAtMs !== null && expiresAtMs > nowMs) nextExpiryMs = Math.min(nextExpiryMs, expiresAtMs);
      }
      for (const endpoint of endpoints) {
        const override = newestFor(endpoint, overrides, nowMs);
        if (override !== null) this.#obey(endpoint, override, forced);
      }
    }
    for (const endpoint of this.#forced) if (!forced.has(endpoint)) this.#release(endpoint);
    this.#forced = forced;
    this.#decidedAt = decidedAt;
    this.#cancelTimer();
    if (nextExpiryMs === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = timers.after(Math.min(nextExpiryMs - nowMs, lookAgainMs), () => this.#apply());
  }

  #obey(endpoint: EndpointRow, override: HealthOverridePlan, forced: Set<EndpointRow>): void {
    const { table, onDecided, onForgiven } = this.#options;
    const { isHealthy, expiresAtMs, id, decidedAtMs } = override;
    const isForcedIn = isHealthy && expiresAtMs !== null;
    const isNew = this.#decidedAt.get(id) !== decidedAtMs;
    if (!isHealthy || isForcedIn) forced.add(endpoint);
    if (isHealthy && isNew) forgive(table, endpoint);
    const { poolRow, row } = endpoint;
    const isChanged = [
      table.setFlag(poolRow, row, "forced_out", !isHealthy),
      table.setFlag(poolRow, row, "forced_in", isForcedIn),
    ].includes(true);
    if (isHealthy && isNew) onForgiven(endpoint);
    if (isChanged || isNew) onDecided(endpoint, reasonOf(override));
  }

  #release(endpoint: EndpointRow): void {
    const { table, onDecided } = this.#options;
    const { poolRow, row } = endpoint;
    // A row that went out of use just now is its own for minutes still.
    table.setFlag(poolRow, row, "forced_out", false);
    table.setFlag(poolRow, row, "forced_in", false);
    onDecided(endpoint, "what a person had decided is over");
  }
}

function forgive(table: EndpointTable, { poolRow, row }: EndpointRow): void {
  clearChecks(table, { poolRow, row });
  table.readmit(poolRow, row);
}

/** Nothing is held against the endpoint by health checks any more. */
export function clearChecks(
  table: EndpointTable,
  { poolRow, row }: { readonly poolRow: number; readonly row: number },
): boolean {
  for (;;) {
    const counts = table.checkCounts(row);
    if (table.replaceCheckCounts(row, counts, 0)) return table.setFlag(poolRow, row, "unhealthy", false);
  }
}

function newestFor(
  { targetId, address, port }: EndpointRow,
  overrides: readonly HealthOverridePlan[],
  nowMs: number,
): HealthOverridePlan | null {
  let newest: HealthOverridePlan | null = null;
  for (const override of overrides) {
    if (override.targetId !== targetId) continue;
    if (override.expiresAtMs !== null && override.expiresAtMs <= nowMs) continue;
    const { endpoint } = override;
    if (endpoint !== null && (endpoint.port !== port || endpoint.address !== canonicalAddress(address))) continue;
    if (newest === null || override.decidedAtMs > newest.decidedAtMs) newest = override;
  }
  return newest;
}

function reasonOf({ isHealthy, expiresAtMs }: HealthOverridePlan): string {
  const until = expiresAtMs === null ? "" : ` until ${new Date(expiresAtMs).toISOString()}`;
  return `a person set it ${isHealthy ? "healthy" : "unhealthy"}${until}`;
}

import { isAmong } from "../balance/tried-endpoints.ts";
import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { Exchange } from "./exchange.ts";

/** Whether the endpoint has a limit, and is at it. */
export function isFull(table: EndpointTable, { row, maxInFlight }: EndpointConfig): boolean {
  return maxInFlight > 0 && table.isAtLimit(row, maxInFlight);
}

/** Whether an endpoint that is in and has not been tried is at its limit. One of weight 0 is nobody's second choice. */
export function hasFullEndpoint({ engine, pool, tried }: Exchange): boolean {
  const { endpoints } = pool!.set;
  for (let i = 0; i < endpoints.length; i++) {
    const each = endpoints[i]!;
    if (each.weight === 0 || !isFull(engine.endpoints, each)) continue;
    if (!engine.endpoints.isOut(each.row) && !isAmong(tried, each)) return true;
  }
  return false;
}

/** Whether so many requests of the pool are under way that no further one is admitted, whoever is asked. */
export function isPoolAtLimit(table: EndpointTable, { poolRow, balancing }: PoolConfig): boolean {
  const max = balancing.inFlight?.max ?? null;
  return max !== null && table.admissions.admittedToPool(poolRow) >= max;
}

/** Whether there may be room for one more in the pool and at an endpoint of it: nothing is taken. */
export function hasRoom({ engine, pool }: Exchange): boolean {
  const { config, set } = pool!;
  const { endpoints } = engine;
  if (isPoolAtLimit(endpoints, config)) return false;
  for (let i = 0; i < set.endpoints.length; i++) {
    const each = set.endpoints[i]!;
    if (!endpoints.isOut(each.row) && !isFull(endpoints, each)) return true;
  }
  return set.endpoints.length === 0;
}

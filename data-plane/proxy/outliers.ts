import type { EndpointConfig } from "../config/worker-config.ts";
import type { Exchange } from "./exchange.ts";
import { Counter } from "./proxy-counters.ts";

/** Why an endpoint was taken out for what it did to traffic. */
export type OutlierCause = "resets" | "bad_answers" | "stalled";

/**
 * Takes an endpoint out that cannot be connected to: at once, and however many are out, since nothing can be lost by
 * not asking it.
 */
export function ejectRefusing(exchange: Exchange, endpoint: EndpointConfig, cause: string): void {
  const { config, set } = exchange.pool!;
  if (set.endpoints.length < 2 || config.resilience.outlier?.ejectsRefusing !== true) return;
  takeOut(exchange, endpoint, cause, 0);
}

/** A connection broke before its answer began. */
export function countReset(exchange: Exchange, endpoint: EndpointConfig): void {
  const { outlier } = exchange.pool!.config.resilience;
  if (outlier === null || outlier.consecutiveResets === 0) return;
  const count = exchange.engine.endpoints.countReset(endpoint.row);
  if (count >= outlier.consecutiveResets) ejectOutlier(exchange, endpoint, "resets");
}

/** Another endpoint gave a better answer to the same request. @param retryAfterMs what the endpoint asked for; 0 = nothing */
export function countBettered(exchange: Exchange, endpoint: EndpointConfig, retryAfterMs: number): void {
  const { outlier } = exchange.pool!.config.resilience;
  if (outlier === null || outlier.consecutiveStatuses === 0) return;
  const count = exchange.engine.endpoints.countBadStatus(endpoint.row);
  if (count >= outlier.consecutiveStatuses) ejectOutlier(exchange, endpoint, "bad_answers", retryAfterMs);
}

/**
 * An answer to a request that is not sent again, and so says nothing beside what another endpoint answered to it: judged
 * by how the others answer such requests.
 */
export function countUnbettered(exchange: Exchange, endpoint: EndpointConfig, isBad: boolean, nowMs: number): void {
  const { config, history, set } = exchange.pool!;
  const { outlier } = config.resilience;
  if (outlier === null || outlier.consecutiveStatuses === 0 || set.endpoints.length < 2) return;
  history.shares.add(endpoint.row, isBad, nowMs);
  if (isBad && history.shares.isOutlying(endpoint.row, nowMs)) ejectOutlier(exchange, endpoint, "bad_answers");
}

/**
 * Takes an endpoint out that can be connected to, so that it may do better than we think: as long as not too many are
 * out. @returns whether it is out now
 */
export function ejectOutlier(
  exchange: Exchange,
  endpoint: EndpointConfig,
  cause: OutlierCause,
  retryAfterMs = 0,
): boolean {
  const { engine } = exchange;
  const { config, set } = exchange.pool!;
  const { outlier } = config.resilience;
  if (outlier === null) return false;
  if (engine.endpoints.isOut(endpoint.row)) return true;
  const count = set.endpoints.length;
  const outMax = Math.min(count - 1, Math.max(Math.floor((count * outlier.maxEjectedPercent) / 100), 1));
  if (outlier.maxEjectedPercent === 0 || outCount(exchange) >= outMax) return false;
  takeOut(exchange, endpoint, cause, retryAfterMs);
  return true;
}

/** How many of the pool's endpoints are out, for whatever reason. */
export function outCount(exchange: Exchange): number {
  const { endpoints } = exchange.pool!.set;
  let count = 0;
  for (let i = 0; i < endpoints.length; i++) if (exchange.engine.endpoints.isOut(endpoints[i]!.row)) count++;
  return count;
}

function takeOut(exchange: Exchange, endpoint: EndpointConfig, cause: string, retryAfterMs: number): void {
  const { config } = exchange.pool!;
  const { engine } = exchange;
  if (!engine.endpoints.eject(config.poolRow, endpoint.row)) return;
  if (cause === "stalled") engine.endpoints.setFlag(config.poolRow, endpoint.row, "stalled", true);
  engine.upstreams.closeIdleTo(endpoint);
  engine.counters.add(Counter.ejections);
  engine.traffic.countEjection(config, endpoint);
  engine.onEjected(config.key, endpoint.row, cause, retryAfterMs);
}

import { isAmong } from "../balance/tried-endpoints.ts";
import type { RetryConfig } from "../config/resilience-config.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { isFull } from "./endpoint-room.ts";
import type { Exchange } from "./exchange.ts";
import { Counter } from "./proxy-counters.ts";

/** What the route says of retries, and the upstream where the route says nothing. */
export function mergeRetry(ofPool: RetryConfig, ofRoute: Partial<RetryConfig> | null): RetryConfig {
  return ofRoute === null ? ofPool : { ...ofPool, ...ofRoute };
}

const idempotencyKeyLine = /(?:^|\n)idempotency-key:/i;

/** Whether the request may be executed twice. Source: RFC 9110 section 9.2.2. */
export function mayExecuteTwice({ method, retry, fields }: Exchange): boolean {
  if (!retry.isEnabled) return false;
  if (retry.methods === null ? method.isIdempotent : retry.methods.includes(method.name)) return true;
  return retry.takesIdempotencyKey && idempotencyKeyLine.test(fields);
}

/** Whether the request can be sent once more after it was sent: the budget is not asked. */
export function maySendAgain(exchange: Exchange): boolean {
  return exchange.extraAttempts < exchange.service!.retries && exchange.keptBody.isWhole && mayExecuteTwice(exchange);
}

/** Whether there is a further attempt left in the pool's budget; it is spent then. */
export function isInBudget(exchange: Exchange, nowMs: number): boolean {
  if (exchange.pool!.history.budget.take(nowMs)) return true;
  exchange.engine.counters.add(Counter.retries_over_budget);
  return false;
}

/** After the endpoint that the request is at, one that it has not been at, one that is in where there is one; or null. */
export function nextEndpoint(exchange: Exchange): EndpointConfig | null {
  exchange.tried.push(exchange.endpoint!);
  if (exchange.admission !== null) return exchange.admission.next(exchange);
  const next = exchange.pool!.picker.pick(exchange);
  return next === null || isAmong(exchange.tried, next) ? null : next;
}

/** Whether an endpoint that is in, and has room, has not been tried, nor is being. Cost: only after something failed. */
export function hasBetterEndpoint(exchange: Exchange): boolean {
  const { endpoints } = exchange.pool!.set;
  const table = exchange.engine.endpoints;
  for (let i = 0; i < endpoints.length; i++) {
    const each = endpoints[i]!;
    const isUsed = each.row === exchange.endpoint?.row || isAmong(exchange.tried, each);
    // One of weight 0 gets nobody who has not been there before.
    if (!isUsed && each.weight > 0 && !table.isOut(each.row) && !isFull(table, each)) return true;
  }
  return false;
}

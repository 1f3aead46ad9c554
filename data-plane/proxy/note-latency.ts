import { observed } from "../balance/peak-ewma.ts";
import type { Exchange } from "./exchange.ts";

/** An answer has begun: how long that took, for pools that go by it. */
export function noteAnswer(exchange: Exchange, nowMs: number): void {
  if (exchange.pool!.config.algorithm === "latency") note(exchange, nowMs, 0);
}

/**
 * No answer will come. What was waited for in vain is as bad as an answer that took so long; a refusal that comes at once
 * is nothing to prefer an endpoint for, so it makes none look faster.
 */
export function noteLoss(exchange: Exchange, nowMs: number): void {
  if (exchange.pool!.config.algorithm !== "latency") return;
  note(exchange, nowMs, exchange.engine.endpoints.latencyUs(exchange.endpoint!.row));
}

function note({ engine, endpoint, sentAtMs }: Exchange, nowMs: number, atLeastUs: number): void {
  const { endpoints } = engine;
  const { row } = endpoint!;
  const tookUs = Math.max((nowMs - sentAtMs) * 1_000, atLeastUs);
  const smoothedUs = observed(endpoints.latencyUs(row), endpoints.latencyAgeMs(row, nowMs), tookUs);
  endpoints.setLatency(row, smoothedUs, nowMs);
}

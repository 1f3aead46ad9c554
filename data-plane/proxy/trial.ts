import type { EndpointConfig } from "../config/worker-config.ts";
import type { TrialOutcome } from "../health/trial-outcome.ts";
import type { Exchange } from "./exchange.ts";
import { maySendAgain, retryConfig } from "./may-retry.ts";

/**
 * The endpoint that this request is to try, if one waits to be tried and the request can go elsewhere should it fail: so
 * that a trial costs nobody an answer. Only where no such request has come for a while, any one will do: it saves those
 * after it. To be called where the pool has a trial.
 */
export function takeTrial(exchange: Exchange): EndpointConfig | null {
  const { engine } = exchange;
  const { config, history, set } = exchange.pool!;
  const isSafe = maySendAgain(exchange, retryConfig(exchange));
  if (set.endpoints.length < 2 || !(isSafe || engine.endpoints.isTrialByAny(config.poolRow))) return null;
  const row = engine.endpoints.takeTrial(config.poolRow);
  if (row < 0) return null;
  exchange.trialRow = row;
  const { stall } = config.resilience;
  if (stall !== null)
    exchange.trialLimitMs = history.waitsOf(exchange.route!.id).silenceLimitMs(stall, exchange.startedAtMs);
  for (let i = 0; i < set.endpoints.length; i++) if (set.endpoints[i]!.row === row) return set.endpoints[i]!;
  // Gone from the pool meanwhile, for this worker.
  endTrial(exchange, "unclear", "");
  return null;
}

/** Tells the main thread, which decides what becomes of the endpoint. */
export function endTrial(exchange: Exchange, outcome: TrialOutcome, cause: string): void {
  const row = exchange.trialRow;
  exchange.trialRow = -1;
  exchange.engine.onTrial(row, outcome, cause);
}

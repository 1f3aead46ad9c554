import type { EndpointConfig } from "../config/worker-config.ts";
import type { TrialOutcome } from "../health/trial-outcome.ts";
import type { Exchange } from "./exchange.ts";
import { maySendAgain } from "./may-retry.ts";

/**
 * The endpoint that this request is to try, if one waits to be tried and the request can go elsewhere should it fail: so
 * that a trial costs nobody an answer. Only where no such request has come for a while, any one will do: it saves those
 * after it. To be called where the pool has a trial.
 */
export function takeTrial(exchange: Exchange): EndpointConfig | null {
  const { engine } = exchange;
  const { config, history, set } = exchange.pool!;
  // A body may turn out to be longer than what is kept of one.
  const isSafe = exchange.isBodyComplete && maySendAgain(exchange);
  if (set.endpoints.length < 2 || !(isSafe || engine.endpoints.isTrialByAny(config.poolRow))) return null;
  const row = engine.endpoints.takeTrial(config.poolRow);
  if (row < 0) return null;
  exchange.trialRow = row;
  const endpoint = set.endpoints.find((each) => each.row === row);
  if (endpoint === undefined || engine.endpoints.has(row, "forced_out")) {
    // Gone from the pool meanwhile, for this worker, or taken out by a person.
    endTrial(exchange, "unclear", "");
    return null;
  }
  const { stall } = config.resilience;
  if (stall !== null)
    exchange.trialLimitMs = history.waitsOf(exchange.route!.id).silenceLimitMs(stall, exchange.startedAtMs);
  return endpoint;
}

/** Tells the main thread, which decides what becomes of the endpoint. */
export function endTrial(exchange: Exchange, outcome: TrialOutcome, cause: string): void {
  const row = exchange.trialRow;
  exchange.trialRow = -1;
  exchange.engine.onTrial(row, outcome, cause);
}

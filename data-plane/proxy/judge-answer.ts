import type { EndpointConfig } from "../config/worker-config.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import type { Exchange } from "./exchange.ts";
import { hasBetterEndpoint, isInBudget, maySendAgain, nextEndpoint } from "./may-retry.ts";
import { countBettered, countUnbettered } from "./outliers.ts";
import { endTrial } from "./trial.ts";

/** The lowest status that may be retried. */
const badStatusMin = 429;
const retryAfterMaxMs = 3_600_000;

/** An endpoint that gave an answer which was not passed on. */
export interface BadAnswer {
  readonly endpoint: EndpointConfig;
  readonly retryAfterMs: number;
}

/** An answer, or an interim one, has begun: whoever waited for it waits no longer. */
export function waitIsOver(exchange: Exchange, nowMs: number): void {
  const { waits } = exchange;
  exchange.engine.endpoints.answered(exchange.endpoint!.row, nowMs);
  waits?.answered(exchange, nowMs);
}

/**
 * What an answer says of its endpoint, and of those that were asked before it. @returns the endpoint that is to be asked
 * instead of passing this answer on; null where it is passed on
 */
export function askInstead(
  exchange: Exchange,
  head: ResponseHead,
  bytes: Buffer,
  nowMs: number,
): EndpointConfig | null {
  const endpoint = exchange.endpoint!;
  const { status } = head;
  exchange.engine.traffic.countAnswer(endpoint, status, nowMs - exchange.sentAtMs);
  exchange.engine.passiveChecks.answered(exchange.pool!.config, endpoint, status);
  if (status < badStatusMin || !exchange.retry.statuses.includes(status)) {
    answeredWell(exchange, endpoint, nowMs);
    return null;
  }
  if (exchange.trialRow >= 0) endTrial(exchange, "failed", `answered ${status}`);
  const next = betterEndpoint(exchange, nowMs);
  if (next !== null) exchange.badAnswers.push({ endpoint, retryAfterMs: retryAfter(head, bytes) });
  // Where another endpoint has answered badly too, it is the request that is to blame.
  else if (exchange.badAnswers.length === 0) countUnbettered(exchange, endpoint, true, nowMs);
  return next;
}

function betterEndpoint(exchange: Exchange, nowMs: number): EndpointConfig | null {
  if (!maySendAgain(exchange) || !hasBetterEndpoint(exchange)) return null;
  // None, although one is in: where this very answer has put the pool into a panic, and nobody gets anything.
  const next = nextEndpoint(exchange);
  if (next !== null && isInBudget(exchange, nowMs)) return next;
  exchange.admission?.cancelNext();
  return null;
}

function answeredWell(exchange: Exchange, endpoint: EndpointConfig, nowMs: number): void {
  const { engine, badAnswers } = exchange;
  engine.endpoints.clearOutlierCounts(endpoint.row);
  if (exchange.trialRow >= 0) endTrial(exchange, "passed", "");
  if (badAnswers.length > 0) {
    for (const { endpoint: bad, retryAfterMs } of badAnswers) countBettered(exchange, bad, retryAfterMs);
    badAnswers.length = 0;
  }
  if (!maySendAgain(exchange)) countUnbettered(exchange, endpoint, false, nowMs);
}

/** Retry-After in seconds; a date is not worth the clocks that it compares. */
function retryAfter({ fields }: ResponseHead, bytes: Buffer): number {
  const index = fields.indexOf("retry-after", bytes);
  const seconds = index < 0 ? Number.NaN : Number(fields.valueAt(index, bytes));
  return seconds > 0 ? Math.min(seconds * 1_000, retryAfterMaxMs) : 0;
}

import type { EndpointWaits, Waiting } from "../health/route-waits.ts";
import type { Exchange } from "./exchange.ts";
import { hasBetterEndpoint, maySendAgain, retryConfig } from "./may-retry.ts";
import { ejectOutlier } from "./outliers.ts";
import type { ProxyEngine } from "./proxy-engine.ts";

/**
 * Notices endpoints that take requests and do not answer them. One is stalled when it has been silent on a route for
 * longer than any endpoint's answers there took, several times over, with two or more requests waiting for it, while
 * another endpoint answered. Whatever is waiting there and may be sent twice goes elsewhere.
 *
 * A long poll waits no longer than long polls of its route have waited before, an endpoint that is always slow has shown
 * so, and one request alone proves nothing.
 * Cost: nothing but a list entry for each endpoint that somebody waits for, looked at with every tick.
 */
export class StallWatch {
  #listed: EndpointWaits[] = [];

  /** The request is out, and the answer's first byte is waited for. */
  begin(exchange: Exchange, nowMs: number): void {
    const { config, set, history } = exchange.pool!;
    if (config.resilience.stall === null || set.endpoints.length < 2) return;
    const waits = history.waitsOf(exchange.route!.id).at(exchange.endpoint!.row);
    waits.begin(exchange, nowMs);
    if (waits.isListed) return;
    waits.isListed = true;
    this.#listed.push(waits);
  }

  look(nowMs: number): void {
    const listed = this.#listed;
    let keptCount = 0;
    for (let i = 0; i < listed.length; i++) {
      const waits = listed[i]!;
      if (waits.first === null) waits.isListed = false;
      else {
        this.#judge(waits, waits.first as Exchange, nowMs);
        listed[keptCount++] = waits;
      }
    }
    listed.length = keptCount;
  }

  #judge(waits: EndpointWaits, first: Exchange, nowMs: number): void {
    const { stall } = first.pool!.config.resilience;
    const waitedMs = nowMs - first.waitingSinceMs;
    if (stall === null || waitedMs <= stall.minSilenceMs) return;
    const limitMs = waits.silenceLimitMs(stall, nowMs);
    if (limitMs === null || waitedMs <= limitMs) return;
    const { endpoints } = first.engine;
    if (!endpoints.isOut(waits.row)) {
      if (!isStalled(waits, first, limitMs, nowMs)) return;
      if (!ejectOutlier(first, first.endpoint!, "stalled")) return;
    }
    moveWaiting(waits, limitMs, nowMs);
  }
}

function isStalled(waits: EndpointWaits, first: Exchange, limitMs: number, nowMs: number): boolean {
  if (nowMs - waits.lastAnswerMs <= limitMs) return false;
  const { endpoints } = first.engine;
  // This worker alone may have one request there, and the others the rest.
  const isSilentForAll = endpoints.inFlight(waits.row) >= 2 && endpoints.silentForMs(waits.row, nowMs) > limitMs;
  if (waits.countOver(limitMs, nowMs) < 2 && !isSilentForAll) return false;
  return hasOtherAnswered(first.engine, first, nowMs);
}

/** Whether an endpoint that is in has answered since the first of those that wait began to. */
function hasOtherAnswered(engine: ProxyEngine, first: Exchange, nowMs: number): boolean {
  const waitedMs = nowMs - first.waitingSinceMs;
  for (const { row } of first.pool!.set.endpoints) {
    if (row === first.endpoint!.row || engine.endpoints.isOut(row)) continue;
    if (engine.endpoints.silentForMs(row, nowMs) <= waitedMs) return true;
  }
  return false;
}

function moveWaiting(waits: EndpointWaits, limitMs: number, nowMs: number): void {
  let next: Waiting | null = waits.first;
  while (next !== null && nowMs - next.waitingSinceMs > limitMs) {
    const exchange = next as Exchange;
    // Moving one takes it off the list.
    next = next.nextWaiting;
    if (!maySendAgain(exchange, retryConfig(exchange)) || !hasBetterEndpoint(exchange)) continue;
    if (!exchange.pool!.history.budget.take(nowMs)) return;
    exchange.connection!.giveUp("stalled");
  }
}

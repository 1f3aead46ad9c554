import type { EndpointConfig } from "../config/worker-config.ts";
import { type EndpointWaits, neverMs, type Waiting } from "../health/route-waits.ts";
import type { HttpPing } from "../upstream/http-ping.ts";
import type { Exchange } from "./exchange.ts";
import { hasBetterEndpoint, isInBudget, maySendAgain } from "./may-retry.ts";
import { ejectOutlier } from "./outliers.ts";

/** So many answers of others, the last of them so lately, are no accident. */
const answersElsewhereMin = 3;
/** An endpoint that was silent and answered a ping is asked again after so long. */
const pingAgainMs = 5_000;

/**
 * Notices endpoints that take requests and do not answer them. One is stalled when it has been silent on a route for
 * longer than any endpoint's answers there took, several times over, with two or more requests waiting for it, while
 * others go on answering, or when it does not even answer a ping. Where requests give up before that, the silence is
 * theirs together, and only the ping tells. Whatever is waiting there and may be sent twice goes elsewhere.
 *
 * A long poll waits no longer than long polls of its route have waited before, an endpoint that is always slow has shown
 * so, one request alone proves nothing, and where every endpoint is silent the fault is not one endpoint's.
 * Cost: nothing but a list entry for each client's connection that waits, looked at with every tick. Endpoints would be as
 * many as requests, where these go to many routes, and what is looked at of those is in no cache (bench W1r).
 */
export class StallWatch {
  readonly #ping: HttpPing;
  readonly #listed: Exchange[] = [];

  constructor(ping: HttpPing) {
    this.#ping = ping;
  }

  /** The request is out, and the answer's first byte is waited for. */
  begin(exchange: Exchange, nowMs: number): void {
    const { config, set, history } = exchange.pool!;
    if (config.resilience.stall === null || set.endpoints.length < 2) return;
    const place = exchange.place!;
    place.waits ??= history.waitsOf(exchange.route!.id);
    place.waits.at(exchange.endpoint!.row).begin(exchange, nowMs);
    if (exchange.isWatched) return;
    exchange.isWatched = true;
    this.#listed.push(exchange);
  }

  look(nowMs: number): void {
    const listed = this.#listed;
    let keptCount = 0;
    for (let i = 0; i < listed.length; i++) {
      const exchange = listed[i]!;
      const { waits } = exchange;
      if (waits === null) {
        exchange.isWatched = false;
        continue;
      }
      // One of those that wait for the same speaks for all.
      if (waits.first === exchange) this.#judge(waits, exchange, nowMs);
      listed[keptCount++] = exchange;
    }
    listed.length = keptCount;
  }

  #judge(waits: EndpointWaits, first: Exchange, nowMs: number): void {
    const { stall } = first.pool!.config.resilience;
    const silentMs = silentForMs(waits, first, nowMs);
    if (stall === null || silentMs <= stall.minSilenceMs / 2) return;
    const limitMs = waits.silenceLimitMs(stall, nowMs);
    if (limitMs === null || silentMs <= limitMs / 2) return;
    // For whatever else it is out, what waits there may be answered yet.
    if (!first.engine.endpoints.has(waits.row, "stalled")) {
      if (!isSilent(waits, first, limitMs / 2, nowMs)) return;
      // Asked at half time, so that the answer is there in time.
      this.#askOnce(waits, first.endpoint!, limitMs / 2, nowMs);
      if (!isSilent(waits, first, limitMs, nowMs) || !isToBlame(waits, first, limitMs, nowMs)) return;
      if (!ejectOutlier(first, first.endpoint!, "stalled")) return;
    }
    // What does not even answer a ping is not waited for any longer.
    moveWaiting(waits, waits.ping === "dead" ? stall.minSilenceMs : limitMs, nowMs);
  }

  #askOnce(waits: EndpointWaits, { address, port }: EndpointConfig, timeoutMs: number, nowMs: number): void {
    const isDue = waits.ping === "unasked" || (waits.ping === "alive" && nowMs - waits.pingedAtMs > pingAgainMs);
    if (!isDue) return;
    waits.ping = "asked";
    waits.pingedAtMs = nowMs;
    void this.#ping(address, port, timeoutMs).then((problem) => {
      // Answered meanwhile: this silence is over.
      if (waits.ping !== "asked" || waits.pingedAtMs !== nowMs) return;
      // Who closes or resets is awake, whatever that means for requests.
      waits.ping = problem === "timeout" ? "dead" : "alive";
    });
  }
}

/** How long the longest wait is; of requests that gave up one after the other, all of their time. */
function silentForMs(waits: EndpointWaits, first: Exchange, nowMs: number): number {
  return Math.max(nowMs - first.waitingSinceMs, waits.gaveUpForMs(nowMs));
}

/** Whether two or more requests have waited for so long, and nothing has come back meanwhile. */
function isSilent(waits: EndpointWaits, first: Exchange, limitMs: number, nowMs: number): boolean {
  if (nowMs - waits.lastAnswerMs <= limitMs) return false;
  return waits.gaveUpForMs(nowMs) > limitMs || isSilentForThoseWaiting(waits, first, limitMs, nowMs);
}

function isSilentForThoseWaiting(waits: EndpointWaits, first: Exchange, limitMs: number, nowMs: number): boolean {
  if (nowMs - first.waitingSinceMs <= limitMs) return false;
  const { endpoints } = first.engine;
  // This worker alone may have one request there, and the others the rest.
  const isSilentForAll = endpoints.inFlight(waits.row) >= 2 && endpoints.silentForMs(waits.row, nowMs) > limitMs;
  return waits.countOver(limitMs, nowMs) >= 2 || isSilentForAll;
}

/** Whether the silence is the endpoint's, and neither everybody's nor what the requests are about. */
function isToBlame(waits: EndpointWaits, first: Exchange, limitMs: number, nowMs: number): boolean {
  if (waits.answersElsewhere === 0 || !hasSoundOther(waits, first, limitMs, nowMs)) return false;
  if (waits.ping === "dead") return true;
  // Clients that leave a long poll do so wherever nothing happens: who gave up proves nothing by itself. Nor do requests
  // that waited while others were answered there: those are long polls, and what is missing is only other traffic.
  if (waits.countOver(limitMs, nowMs, waits.lastAnswerMs) < 2) return false;
  return waits.answersElsewhere >= answersElsewhereMin && nowMs - waits.route.lastAnswerMs <= limitMs / 2;
}

/** Whether there is an endpoint that is in and keeps nobody waiting for so long. */
function hasSoundOther({ row, route }: EndpointWaits, first: Exchange, limitMs: number, nowMs: number): boolean {
  for (const other of first.pool!.set.endpoints) {
    if (other.row === row || first.engine.endpoints.isOut(other.row)) continue;
    const waits = route.find(other.row);
    const sinceMs = Math.max(waits?.first?.waitingSinceMs ?? nowMs, waits?.lastAnswerMs ?? neverMs);
    if (nowMs - sinceMs <= limitMs) return true;
  }
  return false;
}

function moveWaiting(waits: EndpointWaits, limitMs: number, nowMs: number): void {
  let next: Waiting | null = waits.first;
  while (next !== null && nowMs - next.waitingSinceMs > limitMs) {
    const exchange = next as Exchange;
    // Moving one takes it off the list.
    next = next.nextWaiting;
    // Half a head is no answer, but the end of all retries.
    if (exchange.connection!.hasAnswerBytes) continue;
    if (!maySendAgain(exchange) || !hasBetterEndpoint(exchange)) continue;
    if (!isInBudget(exchange, nowMs)) return;
    exchange.connection!.giveUp("stalled");
  }
}

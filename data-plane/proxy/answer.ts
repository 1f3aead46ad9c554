import { Framing } from "../http1/body-framing.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { attemptsLine } from "./attempts-header.ts";
import { errorResponse } from "./error-response.ts";
import type { Exchange } from "./exchange.ts";
import { overloadLines } from "./overload-answers.ts";
import { Counter } from "./proxy-counters.ts";
import { type ProxyError, proxyError } from "./proxy-error.ts";
import { recordExchange } from "./record-exchange.ts";
import type { FinishedRequest } from "./traffic-metrics.ts";

/** Takes what an answer of our own is to go by: the bytes of the head will be gone then. */
export function readWantedType(exchange: Exchange, head: RequestHead, bytes: Buffer): void {
  const { fields, acceptIndex } = head;
  if (acceptIndex >= 0) exchange.accept = fields.textAt(fields.valueStart[acceptIndex]!, fields.valueEnd[acceptIndex]!);
  else if (head.framing !== Framing.None) {
    const index = fields.indexOf("content-type", bytes);
    if (index >= 0) exchange.contentType = fields.valueAt(index, bytes);
  }
}

/**
 * Answers an exchange with an error of our own. The connection stays usable only when the request was read
 * to its end, or the rest of it is short enough to be thrown away.
 */
export function answerByOurselves(exchange: Exchange, error: ProxyError, detail = ""): void {
  writeAnswer(exchange, error, error.status, { extraLines: "", detail });
}

/** Refuses for want of time or memory. Whoever asks again at once is not read for a moment: that costs nothing. */
export function answerOverloaded(exchange: Exchange): void {
  // Requests that came with one read have begun at the same time: the first one's refusal is none of the second's.
  const startedAtMs = performance.now();
  const error = proxyError("overloaded");
  exchange.engine.counters.add(Counter.shed);
  exchange.client.holdNext();
  writeAnswer(exchange, error, error.status, { extraLines: overloadLines, detail: "" });
  exchange.engine.shedder.refused(performance.now() - startedAtMs);
}

/** What is counted of such a request: one after the other. */
const shedRequest = {
  ...{ route: null, routeSlot: -1, service: null, place: null },
  ...{ status: 503, bytesIn: 0, bytesOut: 0, answerLatencyMs: -1 },
};

/**
 * Does the same for a request of which nothing but its head is known, and nothing else needs to be. An exchange that
 * begins has strings of its request to keep until the connection's next one: those of thousands of refused clients cost
 * the garbage collector as much as the write costs (proof overload).
 * @returns false, with nothing done, where more of the request counts: it has a body, or is logged
 */
export function refuseBriefly(exchange: Exchange, head: RequestHead, bytes: Buffer, startedAtMs: number): boolean {
  if (exchange.logged !== null || head.framing !== Framing.None) return false;
  if (head.method.name === "HEAD" || head.asksForAttempts) return false;
  const { engine, client } = exchange;
  const nowMs = performance.now();
  engine.counters.add(Counter.shed);
  client.holdNext();
  const closes = !head.keepsAlive || engine.isDraining;
  const text = engine.overloadAnswers.text({
    requestId: engine.requestIds.next(),
    accept: head.acceptIndex < 0 ? "" : head.fields.valueAt(head.acceptIndex, bytes),
    latencyMs: Math.round(nowMs - startedAtMs),
    date: engine.date.at(Date.now()),
    closes,
  });
  client.socket.writeText(text);
  shedRequest.bytesIn = head.byteLength;
  shedRequest.bytesOut = text.length;
  engine.traffic.countRequest(shedRequest satisfies FinishedRequest, nowMs - startedAtMs, engine.snapshots.current);
  engine.counters.add(Counter.responses_5xx);
  client.answered(!closes);
  engine.shedder.refused(performance.now() - nowMs);
  return true;
}

/** Refuses where only so many requests may be under way: no more may wait, or this one has waited for too long. */
export function answerAtLimit(exchange: Exchange, name: "at_limit" | "queue_timeout"): void {
  const error = proxyError(name);
  exchange.engine.counters.add(name === "at_limit" ? Counter.limit_in_flight : Counter.limit_queue_time);
  writeAnswer(exchange, error, error.status, { extraLines: "Retry-After: 1\r\n", detail: "" });
}

/** A route that only takes HTTPS, met over HTTP: 426, or the redirect that the route asks for. */
export function answerHttpsRequired(exchange: Exchange, error: ProxyError, status: number, location: string): void {
  const redirect = secureLocation(exchange, status, location);
  const extraLines =
    redirect === "" ? "Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n" : `Location: ${redirect}\r\n`;
  writeAnswer(exchange, error, redirect === "" ? 426 : status, { extraLines, detail: "" });
}

/** Where a route that only takes HTTPS redirects to; "" for the answer 426. */
export function secureLocation(exchange: Exchange, status: number, location: string): string {
  // HTTP/1.0 may come without Host: then there is nowhere to redirect to.
  const host = (exchange.claims?.host ?? "").replace(/:[0-9]+$/, "") || exchange.host;
  return status === 426 || host === "" ? "" : `https://${host}${location}`;
}

function writeAnswer(
  exchange: Exchange,
  error: ProxyError,
  status: number,
  more: { readonly extraLines: string; readonly detail: string },
): void {
  const { engine, client } = exchange;
  const nowMs = performance.now();
  const attempts = exchange.tellsAttempts ? attemptsLine(exchange.logged!, error.type, nowMs) : "";
  const keepAlive = exchange.clientKeepsAlive && !engine.isDraining && client.canDiscardBody();
  exchange.isAnswered = true;
  const text = errorResponse(error, status, {
    requestId: exchange.requestId,
    accept: exchange.accept,
    contentType: exchange.contentType,
    version: engine.version,
    latencyMs: Math.round(nowMs - exchange.startedAtMs),
    date: engine.date.at(Date.now()),
    closes: !keepAlive,
    isAnswerToHead: exchange.method.name === "HEAD",
    extraLines: more.extraLines + attempts,
    detail: more.detail === "" ? "" : more.detail.replaceAll(/[^A-Za-z0-9_ .-]/g, ""),
  });
  client.socket.writeText(text);
  exchange.status = status;
  exchange.failure = error.type;
  exchange.bytesOut += text.length;
  recordExchange(exchange);
  engine.counters.add(
    status >= 500 ? Counter.responses_5xx : status >= 400 ? Counter.responses_4xx : Counter.responses_3xx,
  );
  exchange.finish();
  client.answered(keepAlive);
}

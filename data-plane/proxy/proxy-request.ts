import type { RequestHead } from "../http1/request-head.ts";
import {
  hasEncodedSlash,
  isPathProblem,
  type NormalPath,
  normalizePath,
  normalizePathKeepingSlashes,
  type PathProblem,
} from "../route/normalize-path.ts";
import { rewritePath } from "../route/rewrite-path.ts";
import type { RouteMatch } from "../route/route-input.ts";
import { matchRoute } from "../route/route-table.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import { eventTimeMs } from "../socket/event-time.ts";
import { answerByOurselves, answerHttpsRequired, answerOverloaded, refuseBriefly } from "./answer.ts";
import { startAttempts } from "./attempt.ts";
import type { Exchange } from "./exchange.ts";
import { forwardedFields } from "./forward-head.ts";
import { readAffinity } from "./hash-input.ts";
import { mayExecuteTwice, mergeRetry } from "./may-retry.ts";
import { Counter } from "./proxy-counters.ts";
import { type ProxyErrorName, proxyError } from "./proxy-error.ts";
import { requestQuestion } from "./request-question.ts";

/**
 * A request's way through the proxy, from its head on. Read this first; each phase is a call:
 *
 *   head        listener/http1-connection.ts parsed it; the exchange takes what it needs
 *   path        one normal spelling, which routing and the upstream see
 *   server name over TLS: whether the connection was made for this host, and by whom it may be used
 *   route       the snapshot is read once; everything of this request comes from it
 *   service     a route may have none, or one that cannot be served
 *   fields      what the upstream gets of the head
 *   affinity    what is hashed of it, or the session that it belongs to, where the pool goes by that
 *   attempts    attempt.ts: pick, connect, send; again elsewhere when that fails
 *   relay       relay-body.ts: the body there and the answer back, with back-pressure
 *   end         the connection takes its next request
 *
 * The phases from the path to the fields are `planRequest`. Each phase may end the exchange with an answer of our own (answer.ts); after the answer's head only a cut
 * can tell the client that something went wrong.
 *
 * @param bytes what `head` was parsed from; read only during the call
 */
export function proxyRequest(exchange: Exchange, head: RequestHead, bytes: Buffer): void {
  const { engine } = exchange;
  engine.counters.add(Counter.requests);
  const nowMs = eventTimeMs();
  const isRefused = nowMs >= engine.shedder.asksFromMs && engine.shedder.refuses(nowMs);
  if (isRefused && refuseBriefly(exchange, head, bytes, nowMs)) return;
  exchange.begin(head, bytes);
  exchange.sentTarget = head.fields.textAt(head.targetStart, head.targetEnd);
  if (isRefused) {
    answerOverloaded(exchange);
    return;
  }

  const refusal = planRequest(exchange, head, bytes);
  if (refusal !== null) {
    refuse(exchange, refusal);
    return;
  }
  const totalTimeoutMs = exchange.route!.totalTimeoutMs ?? engine.limits.totalTimeoutMs;
  if (totalTimeoutMs !== null) exchange.endWithin(totalTimeoutMs);
  // Only of requests that may be sent again after a part of them was sent: a copy for nothing costs as much.
  if (!exchange.isBodyComplete && mayExecuteTwice(exchange)) exchange.keptBody.start(exchange.retry.bodyMaxBytes);

  startAttempts(exchange);
}

/** Why we answer a request by ourselves before any target is picked. */
export interface Refusal {
  readonly error: ProxyErrorName;
  /** Which rule was broken, where the error does not say it. */
  readonly detail: string;
  /** Nothing else will come of this connection. */
  readonly closes: boolean;
  /** Path and query, of a request that has to come over TLS; "" for any other. */
  readonly location: string;
}

const refused = (error: ProxyErrorName, detail = "", closes = false, location = ""): Refusal => ({
  ...{ error, detail, closes, location },
});

/**
 * Decides what becomes of a request, and what a target is to get of it: everything up to the pick, from the head alone,
 * without a count or a timer, so that explain-request.ts can ask the same of a request that nobody has sent.
 * @returns null where a target is to be asked
 */
export function planRequest(exchange: Exchange, head: RequestHead, bytes: Buffer): Refusal | null {
  const { engine } = exchange;
  const target = exchange.sentTarget;
  const queryAt = target.indexOf("?");
  const query = queryAt < 0 ? "" : target.slice(queryAt);
  // Absolute-form may name no path at all (RFC 9112 section 3.2.2).
  exchange.rawPath = (queryAt < 0 ? target : target.slice(0, queryAt)) || "/";
  const snapshot = engine.snapshots.current;
  const keepsSlashes = mayKeepSlashes(snapshot);
  const path = requestPath(exchange.rawPath, snapshot);
  if (isPathProblem(path)) return refused("bad_request", path, true);
  if (snapshot === null) return refused("no_configuration");
  const tlsRefusal = exchange.client.tls?.refusalOf(exchange.host, snapshot.serverNames, engine.checksServerNames);
  if (tlsRefusal) {
    const isInvalid = tlsRefusal === "client_certificate_invalid";
    // The connection is good for the names that it was made for.
    return refused(tlsRefusal, isInvalid ? exchange.client.tls!.certificateFault : "", tlsRefusal !== "misdirected");
  }
  const match = matchRoute(snapshot.routes, requestQuestion(exchange, path, head, bytes));
  if (keepsSlashes && !match?.route.allowsEncodedSlashes && hasEncodedSlash(path)) {
    return refused("bad_request", "encoded_slash", true);
  }
  if (match === null) return refused("no_route");
  const { route } = match;
  const service = snapshot.services[route.serviceIndex] ?? null;
  exchange.route = route;
  exchange.routeSlot = match.slot;
  exchange.service = service;
  if (exchange.scheme === "http" && !match.takesPlainHttp) {
    return refused("https_required", "", false, path + query);
  }

  if (service === null) return refused("no_service");
  if (!service.isProtocolSupported) return refused("protocol_not_supported");
  // A body whose length is known to be too much is not asked for; the length of others is seen as they come.
  exchange.bodyMaxBytes = route.bodyMaxBytes ?? engine.limits.bodyMaxBytes;
  if (head.contentLength > exchange.bodyMaxBytes) return refused("body_too_large", "", true);
  exchange.pool = snapshot.pools[service.poolIndex]!;
  exchange.retry = mergeRetry(exchange.pool.config.resilience.retry, route.retry);
  exchange.preservesHost = route.preserveHost;
  exchange.target = rewritePath(service.path, path, match.matchedChars, route.stripPath, query);
  exchange.strippedPrefix = strippedPrefix(match, path);
  exchange.fields = forwardedFields(head, bytes, exchange);
  if (exchange.pool.hasAffinity) readAffinity(exchange, { head, bytes, match, path, query });
  return null;
}

/** The one spelling of a path that routing and the target see. */
export function requestPath(rawPath: string, snapshot: ServedSnapshot | null): NormalPath | PathProblem {
  return mayKeepSlashes(snapshot) ? normalizePathKeepingSlashes(rawPath) : normalizePath(rawPath);
}

/** Only where some route allows it, and only for paths that have one: such a path is routed on as it came. */
function mayKeepSlashes(snapshot: ServedSnapshot | null): boolean {
  return snapshot?.routes.allowsEncodedSlashes === true;
}

function refuse(exchange: Exchange, { error, detail, closes, location }: Refusal): void {
  if (error === "body_too_large") exchange.engine.counters.add(Counter.limit_body_bytes);
  if (closes) exchange.clientKeepsAlive = false;
  if (error !== "https_required") answerByOurselves(exchange, proxyError(error), detail);
  else answerHttpsRequired(exchange, proxyError(error), exchange.route!.httpsRedirectStatus, location);
}

/** What X-Forwarded-Prefix says: only when a prefix other than "/" was taken off the path. */
function strippedPrefix(match: RouteMatch, path: NormalPath): string {
  if (!match.route.stripPath || !match.hasPath || match.matchedChars <= 1) return "";
  return path.slice(0, match.matchedChars);
}

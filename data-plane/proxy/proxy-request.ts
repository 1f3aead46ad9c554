import type { RouteConfig } from "../config/worker-config.ts";
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
import { answerByOurselves, answerHttpsRequired, answerOverloaded } from "./answer.ts";
import { startAttempts } from "./attempt.ts";
import type { Exchange } from "./exchange.ts";
import { forwardedFields } from "./forward-head.ts";
import { readAffinity } from "./hash-input.ts";
import { mayExecuteTwice, mergeRetry } from "./may-retry.ts";
import { Counter } from "./proxy-counters.ts";
import { proxyError } from "./proxy-error.ts";
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
 * Each phase may end the exchange with an answer of our own (answer.ts); after the answer's head only a cut
 * can tell the client that something went wrong.
 *
 * @param bytes what `head` was parsed from; read only during the call
 */
export function proxyRequest(exchange: Exchange, head: RequestHead, bytes: Buffer): void {
  const { engine } = exchange;
  engine.counters.add(Counter.requests);
  exchange.begin(head, bytes);
  const target = bytes.toString("latin1", head.targetStart, head.targetEnd);
  exchange.sentTarget = target;
  if (exchange.startedAtMs >= engine.shedder.asksFromMs && engine.shedder.refuses(exchange.startedAtMs)) {
    answerOverloaded(exchange);
    return;
  }

  const queryAt = target.indexOf("?");
  const query = queryAt < 0 ? "" : target.slice(queryAt);
  // Absolute-form may name no path at all (RFC 9112 section 3.2.2).
  exchange.rawPath = (queryAt < 0 ? target : target.slice(0, queryAt)) || "/";
  const snapshot = engine.snapshots.current;
  // Only where some route allows it, and only for paths that have one: such a path is routed on as it came.
  const keepsSlashes = snapshot?.routes.allowsEncodedSlashes === true;
  const path = keepsSlashes ? normalizePathKeepingSlashes(exchange.rawPath) : normalizePath(exchange.rawPath);
  if (isPathProblem(path)) {
    refusePath(exchange, path);
    return;
  }
  if (snapshot === null) {
    answerByOurselves(exchange, proxyError("no_configuration"));
    return;
  }
  const tlsRefusal = exchange.client.tls?.refusalOf(exchange.host, snapshot.serverNames, engine.checksServerNames);
  if (tlsRefusal) {
    // Nothing else will come of this connection, but for the names that it was made for.
    if (tlsRefusal !== "misdirected") exchange.clientKeepsAlive = false;
    const isInvalid = tlsRefusal === "client_certificate_invalid";
    answerByOurselves(exchange, proxyError(tlsRefusal), isInvalid ? exchange.client.tls!.certificateFault : "");
    return;
  }
  const match = matchRoute(snapshot.routes, requestQuestion(exchange, path, head, bytes));
  if (keepsSlashes && !match?.route.allowsEncodedSlashes && hasEncodedSlash(path)) {
    refusePath(exchange, "encoded_slash");
    return;
  }
  if (match === null) {
    answerByOurselves(exchange, proxyError("no_route"));
    return;
  }
  const { route, service } = match;
  exchange.route = route;
  exchange.service = service;
  if (exchange.scheme === "http" && !takesPlainHttp(match)) {
    answerHttpsRequired(exchange, proxyError("https_required"), match.route.httpsRedirectStatus, path + query);
    return;
  }

  if (service === null) {
    answerByOurselves(exchange, proxyError("no_service"));
    return;
  }
  if (!service.isProtocolSupported) {
    answerByOurselves(exchange, proxyError("protocol_not_supported"));
    return;
  }
  if (!takesBody(exchange, route, head)) return;
  const totalTimeoutMs = route.totalTimeoutMs ?? engine.limits.totalTimeoutMs;
  if (totalTimeoutMs !== null) exchange.endWithin(totalTimeoutMs);
  exchange.pool = snapshot.pools[match.poolIndex]!;
  exchange.retry = mergeRetry(exchange.pool.config.resilience.retry, route.retry);
  exchange.preservesHost = route.preserveHost;
  exchange.target = rewritePath(service.path, path, match.matchedChars, route.stripPath, query);
  exchange.strippedPrefix = strippedPrefix(match, path);
  exchange.fields = forwardedFields(head, bytes, exchange);
  if (exchange.pool.hasAffinity) readAffinity(exchange, { head, bytes, match, path, query });
  // Only of requests that may be sent again after a part of them was sent: a copy for nothing costs as much.
  if (!exchange.isBodyComplete && mayExecuteTwice(exchange)) exchange.keptBody.start(exchange.retry.bodyMaxBytes);

  startAttempts(exchange);
}

function refusePath(exchange: Exchange, problem: PathProblem): void {
  exchange.clientKeepsAlive = false;
  answerByOurselves(exchange, proxyError("bad_request"), problem);
}

/** A body whose length is known to be too much is not asked for; the length of others is seen as they come. */
function takesBody(exchange: Exchange, route: RouteConfig, head: RequestHead): boolean {
  exchange.bodyMaxBytes = route.bodyMaxBytes ?? exchange.engine.limits.bodyMaxBytes;
  if (head.contentLength <= exchange.bodyMaxBytes) return true;
  exchange.engine.counters.add(Counter.limit_body_bytes);
  exchange.clientKeepsAlive = false;
  answerByOurselves(exchange, proxyError("body_too_large"));
  return false;
}

function takesPlainHttp(match: RouteMatch): boolean {
  const { protocols } = match.route;
  for (let i = 0; i < protocols.length; i++) if (protocols[i] === "http" || protocols[i] === "grpc") return true;
  return false;
}

/** What X-Forwarded-Prefix says: only when a prefix other than "/" was taken off the path. */
function strippedPrefix(match: RouteMatch, path: NormalPath): string {
  if (!match.route.stripPath || !match.hasPath || match.matchedChars <= 1) return "";
  return path.slice(0, match.matchedChars);
}

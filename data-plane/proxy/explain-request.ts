import assert from "node:assert";
import type { EndpointConfig, ServiceConfig } from "../config/worker-config.ts";
import { headProblem } from "../http1/head-problem.ts";
import { RequestHead } from "../http1/request-head.ts";
import { explainRoutes, type RoutesExplanation } from "../route/explain-routes.ts";
import { isPathProblem } from "../route/normalize-path.ts";
import { matchRoute } from "../route/route-table.ts";
import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import { inSlices } from "../steps/in-slices.ts";
import { secureLocation } from "./answer.ts";
import { hostFor, nobodyError } from "./attempt.ts";
import type { ClientConnection } from "./client-connection.ts";
import { Exchange } from "./exchange.ts";
import { type ExplainedAffinity, explainAffinity } from "./explain-affinity.ts";
import { type ExplainedPick, explainPick } from "./explain-pick.ts";
import type {
  ExplainedEndpoint,
  ExplainedOutcome,
  ExplainedPool,
  ExplainedRetry,
  ExplainedRoute,
  ExplainedService,
  ExplainQuestion,
  Explanation,
  HeaderText,
  RewrittenRequest,
} from "./explanation.ts";
import type { RequestParts } from "./hash-input.ts";
import { mayExecuteTwice } from "./may-retry.ts";
import type { ProxyEngine } from "./proxy-engine.ts";
import { type ProxyError, proxyError, requestError } from "./proxy-error.ts";
import { planRequest, type Refusal, requestPath } from "./proxy-request.ts";
import { readable } from "./readable.ts";
import { RouteQuestion, requestQuestion } from "./request-question.ts";
import { TlsClient } from "./tls-client.ts";
import { addressText } from "./traffic-metrics.ts";

/** Routes that are told of beside the one that matched. */
const otherRoutesMax = 100;
const endpointsMax = 1_000;
/** Requests are not kept waiting for longer while a large configuration is gone through. */
const sliceMs = 2;
/** Where no port for TLS is open. */
const tlsPortDefault = 443;

const nothing = { otherRoutes: [], moreRouteCount: 0, endpoints: [], moreEndpointCount: 0, picked: "" };

/**
 * What would become of a request, by what becomes of every request: its head is written and parsed, `planRequest` decides
 * on it, and the pool's own algorithm is asked. Nothing is sent, counted or logged, and nobody's turn is taken.
 *
 * Cost: some microseconds per route of the configuration, in slices.
 * @param ports that this node listens on
 */
export async function explainRequest(
  engine: ProxyEngine,
  ports: { readonly port: number; readonly tlsPort: number | null },
  question: ExplainQuestion,
): Promise<Explanation> {
  const snapshot = engine.snapshots.current;
  const served = { publication: snapshot?.publication ?? 0, revision: snapshot?.revision ?? 0 };
  const bytes = Buffer.from(headText(question));
  const head = new RequestHead(engine.limits);
  const end = head.parse(bytes, 0, bytes.length);
  if (end <= 0) {
    const { status, name } = headProblem(end);
    return { ...served, ...nothing, outcome: answered(requestError(status), name), notes: [] };
  }
  const exchange = new Exchange(engine, askingClient(question, ports, snapshot));
  exchange.begin(head, bytes);
  exchange.sentTarget = head.fields.textAt(head.targetStart, head.targetEnd);
  const refusal = planRequest(exchange, head, bytes);
  const path = requestPath(exchange.rawPath, snapshot);
  const routed = { ...requestQuestion(exchange, isPathProblem(path) ? "/" : path, head, bytes, new RouteQuestion()) };
  const request = {
    scheme: exchange.scheme,
    method: exchange.method.name,
    host: readable(routed.host),
    port: routed.port,
    path: isPathProblem(path) ? "" : path,
    query: queryOf(exchange.sentTarget),
    clientAddress: exchange.clientAddress,
    sni: routed.sni,
  };
  const wasRouted = exchange.route !== null || refusal?.error === "no_route";
  const routes =
    snapshot !== null && wasRouted
      ? await inSlices(explainRoutes(snapshot.routes, routed, otherRoutesMax), sliceMs)
      : null;
  const notes = certificateNotes(question, snapshot);
  const facts = { ...served, request, ...routeFacts(routes, routed.path), ...serviceFacts(exchange.service) };
  if (refusal !== null) return { ...nothing, ...facts, outcome: refusedOutcome(exchange, refusal), notes };
  assert(!isPathProblem(path));
  const match = matchRoute(snapshot!.routes, routed)!;
  const parts = { head, bytes, match, path, query: queryOf(exchange.sentTarget) };
  return { ...nothing, ...facts, ...poolFacts(exchange, parts, notes) };
}

/** As a client would write it: what no client could, was refused before. */
function headText({ method, host, path, headers }: ExplainQuestion): string {
  const lines = headers.map(({ name, value }) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.join("")}\r\n`;
}

function queryOf(target: string): string {
  const at = target.indexOf("?");
  return at < 0 ? "" : target.slice(at);
}

/** The client's side of a request that comes on no connection: it has an address, and nothing is written to it. */
function askingClient(
  { scheme, clientAddress, sni }: ExplainQuestion,
  { port, tlsPort }: { readonly port: number; readonly tlsPort: number | null },
  snapshot: ServedSnapshot | null,
): ClientConnection {
  const isTls = scheme === "https";
  const noConnection = (): never => {
    throw new Error("a question has no connection");
  };
  // A certificate that is asked for is taken for valid: whether it is, the handshake would tell.
  const asked = snapshot?.serverNames.pick(sni)?.clientAuthentication ?? null;
  return {
    get socket() {
      return noConnection();
    },
    remoteAddress: clientAddress,
    localPort: isTls ? (tlsPort ?? tlsPortDefault) : port,
    scheme,
    tls: isTls ? new TlsClient(sni, asked, { refusal: null, reason: "", chain: [] }) : null,
    resumeBody: noConnection,
    pauseBody: noConnection,
    restBody: noConnection,
    canDiscardBody: noConnection,
    awaitDrain: noConnection,
    holdNext: noConnection,
    becomeTunnelSide: noConnection,
    answered: noConnection,
    cut: noConnection,
  };
}

function certificateNotes({ scheme, sni }: ExplainQuestion, snapshot: ServedSnapshot | null): string[] {
  if (scheme !== "https") return [];
  const asked = snapshot?.serverNames.pick(sni)?.clientAuthentication;
  return asked ? ["clients are asked for a certificate under this server name; a valid one is assumed"] : [];
}

function answered(error: ProxyError, detail = "", more: Partial<ExplainedOutcome> = {}): ExplainedOutcome {
  const { name, status, message } = error;
  return { kind: "KIND_ANSWERED", status, error: name, message, detail, location: "", ...more };
}

function refusedOutcome(exchange: Exchange, { error, detail, location }: Refusal): ExplainedOutcome {
  if (error !== "https_required") return answered(proxyError(error), detail);
  const { httpsRedirectStatus } = exchange.route!;
  const redirect = secureLocation(exchange, httpsRedirectStatus, location);
  return answered(proxyError(error), detail, {
    status: redirect === "" ? proxyError(error).status : httpsRedirectStatus,
    location: readable(redirect),
  });
}

function routeFacts(routes: RoutesExplanation | null, path: string) {
  if (routes === null) return {};
  const { matched, others, moreCount } = routes;
  return {
    ...(matched === null ? {} : { route: routeView(matched, path) }),
    otherRoutes: others.map(({ route, reasons, matches }) => {
      return { id: route.id, name: route.name ?? "", reasons: reasons.map(readable), matches };
    }),
    moreRouteCount: moreCount,
  };
}

function routeView({ ranked, matchedChars }: NonNullable<RoutesExplanation["matched"]>, path: string): ExplainedRoute {
  const { route, kindCount, hasPlainHosts, headerCount, isPattern, regexPriority, plainChars } = ranked;
  return {
    id: route.id,
    name: route.name ?? "",
    path: ranked.path ?? "",
    matched: path.slice(0, matchedChars),
    priority: {
      attributeCount: kindCount,
      hasPlainHosts,
      headerCount,
      isRegex: isPattern,
      regexPriority,
      pathLength: plainChars,
    },
  };
}

function serviceFacts(service: ServiceConfig | null): { readonly service?: ExplainedService } {
  if (service === null) return {};
  const { id, name, protocol, connectTimeoutMs, writeTimeoutMs, readTimeoutMs } = service;
  return {
    service: {
      ...{ id, name: name ?? "", protocol },
      connectTimeout: duration(connectTimeoutMs),
      writeTimeout: duration(writeTimeoutMs),
      readTimeout: duration(readTimeoutMs),
    },
  };
}

/** What comes of a request that gets as far as the pick. */
function poolFacts(exchange: Exchange, parts: RequestParts, notes: readonly string[]) {
  const pool = exchange.pool!;
  const { endpoints: table } = exchange.engine;
  const pick = explainPick(pool, exchange, table);
  const { picked } = pick;
  const affinity = explainAffinity(exchange, parts, picked);
  const all = endpointViews(exchange, pick);
  const endpoints = all.length > endpointsMax ? [...all].sort((a, b) => urgency(a) - urgency(b)) : all;
  const poolNotes = [...notes, ...affinity.notes];
  if (table.hasTrial(pool.config.poolRow))
    poolNotes.push(
      "an endpoint that is out waits to be tried: the next request that can go elsewhere goes there first",
    );
  if (pick.isPanic) poolNotes.push(`too few endpoints are available: ${pool.config.resilience.panic.mode} decides`);
  return {
    outcome: poolOutcome(exchange, pick),
    pool: poolView(exchange, affinity, pick.isPanic),
    retry: retryView(exchange),
    endpoints: endpoints.slice(0, endpointsMax),
    moreEndpointCount: Math.max(all.length - endpointsMax, 0),
    ...(picked === null ? {} : { picked: placeOf(picked), rewritten: rewrittenView(exchange, picked) }),
    notes: poolNotes,
  };
}

function poolOutcome(exchange: Exchange, { fate }: ExplainedPick): ExplainedOutcome {
  if (fate === "at_limit") return answered(proxyError("at_limit"));
  if (fate === "nobody") return answered(proxyError(nobodyError(exchange)));
  const kind = fate === "queued" ? "KIND_QUEUED" : "KIND_PROXIED";
  return { kind, status: 0, error: "", message: "", detail: "", location: "" };
}

function poolView({ pool, engine }: Exchange, affinity: ExplainedAffinity, isPanic: boolean): ExplainedPool {
  const { config, set, isLimited } = pool!;
  const { inFlight } = config.balancing;
  const { admissions } = engine.endpoints;
  return {
    key: config.key,
    name: config.name,
    isUpstream: config.isUpstream,
    algorithm: config.algorithm,
    hashOn: affinity.hashOn,
    hashValue: affinity.hashValue,
    hashIsMissing: affinity.hashIsMissing,
    isPanic,
    emptyBecause: set.emptyBecause ?? "",
    inFlight: isLimited ? admissions.admittedToPool(config.poolRow) : 0,
    inFlightMax: inFlight?.max ?? 0,
    queued: isLimited ? admissions.waitingCount(config.poolRow) : 0,
    queueSize: inFlight?.queueSize ?? 0,
  };
}

function retryView(exchange: Exchange): ExplainedRetry {
  const { retry, service, route, engine } = exchange;
  const totalTimeoutMs = route!.totalTimeoutMs ?? engine.limits.totalTimeoutMs;
  return {
    retries: service!.retries,
    mayRepeat: service!.retries > 0 && mayExecuteTwice(exchange),
    statuses: retry.statuses,
    ...(retry.perTryTimeoutMs === null ? {} : { perTryTimeout: duration(retry.perTryTimeoutMs) }),
    ...(totalTimeoutMs === null ? {} : { totalTimeout: duration(totalTimeoutMs) }),
  };
}

function endpointViews({ engine }: Exchange, { places, picked, next }: ExplainedPick): readonly ExplainedEndpoint[] {
  const table = engine.endpoints;
  return places.map(({ endpoint, role, share }) => ({
    row: endpoint.row,
    address: placeOf(endpoint),
    weight: endpoint.weight,
    priority: endpoint.priority,
    isLocal: endpoint.isLocal,
    inFlight: table.inFlight(endpoint.row),
    inFlightMax: endpoint.maxInFlight,
    ramp: table.ramp(endpoint.row) / 1_000,
    isIn: !table.isOut(endpoint.row),
    share,
    picked: endpoint.row === picked?.row,
    next: endpoint.row === next?.row,
    role,
  }));
}

/** Less is told of first. */
function urgency({ picked, next, isIn }: ExplainedEndpoint): number {
  return picked ? 0 : next ? 1 : isIn ? 3 : 2;
}

function rewrittenView(exchange: Exchange, endpoint: EndpointConfig): RewrittenRequest {
  return {
    address: placeOf(endpoint),
    isSecure: exchange.service!.tls !== null,
    method: exchange.method.name,
    target: exchange.target,
    host: readable(hostFor(exchange, endpoint)),
    headers: headersOf(exchange.fields),
  };
}

/** @param fields lines, with the empty one that ends them */
function headersOf(fields: string): readonly HeaderText[] {
  const lines = fields.split("\r\n").filter((line) => line !== "");
  return lines.map((line) => {
    const colon = line.indexOf(":");
    return { name: line.slice(0, colon), value: readable(line.slice(colon + 1).trim()) };
  });
}

function placeOf({ address, port }: EndpointConfig): string {
  return addressText(address, port);
}

/** As proto3 JSON has it. @param ms whole milliseconds */
function duration(ms: number): string {
  return `${ms / 1_000}s`;
}

import type { EndpointConfig } from "../config/worker-config.ts";
import type { UpstreamConnection, UpstreamLoss } from "../upstream/http1-client.ts";
import type { EndpointConnections } from "../upstream/upstream-pool.ts";
import { answerByOurselves } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { Counter } from "./proxy-counters.ts";
import { proxyError } from "./proxy-error.ts";
import { errorOfLoss, isConnectFailure, nextStep } from "./retry.ts";
import { hostName, targetHost } from "./target-host.ts";

/** The first attempt: an endpoint is picked and the request goes out on an idle connection, or on a new one. */
export function startAttempts(exchange: Exchange): void {
  const endpoint = exchange.pool!.picker.pick(exchange.tried);
  if (endpoint === null) {
    const isUnresolved = exchange.pool!.set.emptyBecause === "unresolved";
    answerByOurselves(exchange, proxyError(isUnresolved ? "name_resolution_failed" : "no_peer"));
    return;
  }
  attemptAt(exchange, endpoint, true);
}

function attemptAt(exchange: Exchange, endpoint: EndpointConfig, mayReuse: boolean): void {
  const { engine } = exchange;
  engine.counters.add(Counter.attempts);
  engine.traffic.countAttempt(exchange.pool!.config, endpoint);
  // What an idle connection carries is sent within this call.
  exchange.sentAtMs = performance.now();
  exchange.logged?.attemptStarted(endpoint, exchange.sentAtMs);
  exchange.endpoint = endpoint;
  exchange.inFlightRow = endpoint.row;
  engine.endpoints.attemptBegins(endpoint.row);
  exchange.targetHost = hostFor(exchange, endpoint);
  const connections = connectionsFor(exchange, endpoint);
  const connection = (mayReuse ? connections.takeIdle() : null) ?? connections.open();
  exchange.connection = connection;
  connection.begin(exchange, exchange.method.name === "HEAD", exchange.asksForWebsocket);
  if (connection.isConnected) sendRequest(exchange, connection);
  else {
    // The body stays unread until there is someone to send it to: so every method may try elsewhere.
    exchange.client.pauseBody();
    connection.expectWithin(exchange.service!.connectTimeoutMs);
  }
}

/** The connection that an attempt waited for is there. */
export function attemptConnected(exchange: Exchange): void {
  exchange.sentAtMs = performance.now();
  sendRequest(exchange, exchange.connection!);
}

function sendRequest(exchange: Exchange, connection: UpstreamConnection): void {
  const head = `${exchange.method.name} ${exchange.target} HTTP/1.1\r\nHost: ${exchange.targetHost}\r\n${exchange.fields}`;
  if (exchange.isBodyComplete) {
    connection.socket.writeText(exchange.firstBody === "" ? head : head + exchange.firstBody);
    requestWritten(exchange, connection);
    return;
  }
  exchange.unsentHead = head;
  connection.expectNothing();
  exchange.client.resumeBody();
}

/** The whole request is out: from now on the server has to move. */
export function requestWritten(exchange: Exchange, connection: UpstreamConnection): void {
  connection.requestSent();
  awaitServer(exchange, connection);
}

/**
 * The server has so long to move, from now on; and no limit while it waits for our client, which may send its body and
 * take its answer at the same time. The client has limits of its own.
 */
export function awaitServer(exchange: Exchange, connection: UpstreamConnection): void {
  const { readTimeoutMs, writeTimeoutMs } = exchange.service!;
  if (exchange.isReadPaused) connection.expectNothing();
  else if (exchange.isBodyComplete) connection.expectWithin(readTimeoutMs);
  else if (connection.socket.isFull) connection.expectWithin(writeTimeoutMs);
  else connection.expectNothing();
}

function connectionsFor(exchange: Exchange, endpoint: EndpointConfig): EndpointConnections {
  const { upstreams } = exchange.engine;
  const { tls } = exchange.service!;
  if (tls === null) return upstreams.connectionsTo(endpoint);
  return upstreams.secureConnectionsTo(endpoint, tls, hostName(exchange.targetHost));
}

function hostFor(exchange: Exchange, endpoint: EndpointConfig): string {
  const preserved = exchange.preservesHost ? exchange.authority : "";
  return targetHost(exchange.pool!.config, endpoint, preserved, exchange.service!.tls !== null);
}

/** An attempt ended without a whole answer: another one, an error of our own, or a visibly broken answer. */
export function attemptLost(exchange: Exchange, loss: UpstreamLoss, detail: string): void {
  const { engine } = exchange;
  const connection = exchange.connection!;
  const endpoint = exchange.endpoint!;
  exchange.connection = null;
  exchange.attemptEnds();
  engine.counters.add(isConnectFailure(loss) ? Counter.connect_failures : Counter.attempts_lost);
  engine.traffic.countLoss(exchange.pool!.config, endpoint, loss);
  exchange.logged?.attemptEnded(proxyError(errorOfLoss(loss)).type, performance.now());
  if (loss === "defect") engine.onDefect(detail);
  if (loss === "connect_timeout" || loss === "timeout") engine.counters.add(limitOfLoss(exchange, loss));
  if (isConnectFailure(loss)) takeOut(exchange, endpoint, loss);
  // A head that is still held back was never sent: an answer of our own can take its place.
  if (exchange.unsentAnswerHead !== "") {
    exchange.bytesOut -= exchange.unsentAnswerHead.length;
    exchange.unsentAnswerHead = "";
    exchange.isAnswered = false;
    exchange.answerLatencyMs = -1;
  }
  if (exchange.isAnswered) {
    // Only a cut tells the client that this is not the whole answer.
    engine.counters.add(Counter.responses_cut);
    exchange.failure = proxyError(errorOfLoss(loss)).type;
    exchange.client.cut();
    return;
  }
  const step = nextStep({
    loss,
    isReused: connection.isReused,
    hasAnswerBytes: connection.hasAnswerBytes,
    isIdempotent: exchange.method.isIdempotent,
    canReplay: exchange.canReplay,
    extraAttempts: exchange.extraAttempts,
    retries: exchange.service!.retries,
  });
  if (step === "fresh_connection") {
    attemptAt(exchange, endpoint, false);
    return;
  }
  const next = step === "other_endpoint" ? otherEndpoint(exchange, endpoint) : null;
  if (next === null) {
    // A defect's detail is a stack trace: for the log, not for clients.
    answerByOurselves(exchange, proxyError(errorOfLoss(loss)), loss === "defect" ? "" : detail);
    return;
  }
  engine.counters.add(Counter.retries);
  exchange.extraAttempts++;
  attemptAt(exchange, next, true);
}

/** Which of the service's times ran out. */
function limitOfLoss(exchange: Exchange, loss: UpstreamLoss): number {
  if (loss === "connect_timeout") return Counter.limit_connect_time;
  return exchange.isBodyComplete ? Counter.limit_read_time : Counter.limit_write_time;
}

/** An endpoint that this request has not tried yet, or null. */
function otherEndpoint(exchange: Exchange, failed: EndpointConfig): EndpointConfig | null {
  exchange.tried.push(failed);
  const next = exchange.pool!.picker.pick(exchange.tried);
  return next === null || exchange.tried.some((tried) => tried.row === next.row) ? null : next;
}

/** An endpoint that cannot be connected to leaves the rotation at once, unless it is all there is. */
function takeOut(exchange: Exchange, endpoint: EndpointConfig, loss: UpstreamLoss): void {
  const { config, set } = exchange.pool!;
  if (set.endpoints.length < 2) return;
  if (!exchange.engine.endpoints.eject(config.poolRow, endpoint.row)) return;
  exchange.engine.counters.add(Counter.ejections);
  exchange.engine.traffic.countEjection(config, endpoint);
  exchange.engine.onEjected(config.key, endpoint.row, loss);
}

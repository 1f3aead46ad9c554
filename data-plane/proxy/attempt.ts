import type { EndpointConfig } from "../config/worker-config.ts";
import { eventTimeMs } from "../socket/event-time.ts";
import type { UpstreamConnection, UpstreamLoss } from "../upstream/http1-client.ts";
import type { EndpointConnections } from "../upstream/upstream-pool.ts";
import { Admission, type Chosen } from "./admission.ts";
import { answerAtLimit, answerByOurselves } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { hasBetterEndpoint, isInBudget, mayExecuteTwice, nextEndpoint } from "./may-retry.ts";
import { noteLoss as noteLatencyOfLoss } from "./note-latency.ts";
import { countReset, ejectRefusing, outCount } from "./outliers.ts";
import { Counter } from "./proxy-counters.ts";
import { type ProxyErrorName, proxyError } from "./proxy-error.ts";
import { flat } from "./repeated-lines.ts";
import { errorOfLoss, isConnectFailure, isHandshakeFailure, isReset, type LostAttempt, nextStep } from "./retry.ts";
import { hostName, targetHost } from "./target-host.ts";
import { endTrial, takeTrial } from "./trial.ts";

/** The first attempt: an endpoint is picked and the request goes out on an idle connection, or on a new one. */
export function startAttempts(exchange: Exchange): void {
  const { engine } = exchange;
  exchange.place = engine.traffic.placeOf(exchange, engine.snapshots.current);
  const { config, history, picker, isLimited } = exchange.pool!;
  history.budget.request(exchange.startedAtMs);
  if (isLimited) {
    startWithinLimits(exchange);
    return;
  }
  const trial = engine.endpoints.hasTrial(config.poolRow) ? takeTrial(exchange) : null;
  const endpoint = trial ?? picker.pick(exchange);
  if (endpoint === null) answerNobody(exchange);
  else attemptAt(exchange, endpoint, true);
}

/** The first attempt, where only so many may be under way: those that came before and wait go first. */
function startWithinLimits(exchange: Exchange): void {
  const { turns } = exchange.engine;
  const admission = new Admission(exchange);
  exchange.admission = admission;
  const chosen = turns.hasOrder(exchange.pool!.config.poolRow) ? "full" : admission.admit(exchange);
  if (chosen !== "full") startChosen(exchange, chosen);
  else if (!turns.join(exchange)) answerAtLimit(exchange, "at_limit");
}

/** An attempt at the endpoint to which the request was admitted, at once or when its turn came. */
export function startChosen(exchange: Exchange, chosen: Exclude<Chosen, "full">): void {
  if (chosen === "nobody") answerNobody(exchange);
  else attemptAt(exchange, chosen, true);
}

function answerNobody(exchange: Exchange): void {
  answerByOurselves(exchange, proxyError(nobodyError(exchange)));
}

/** What a request is answered with where there is no endpoint to ask, nor to wait for. */
export function nobodyError({ pool, extraAttempts }: Exchange): ProxyErrorName {
  if (pool!.set.emptyBecause === "unresolved") return "name_resolution_failed";
  return extraAttempts > 0 ? "all_unavailable" : "no_peer";
}

function attemptAt(exchange: Exchange, endpoint: EndpointConfig, mayReuse: boolean): void {
  const { engine } = exchange;
  engine.counters.add(Counter.attempts);
  engine.traffic.countAttempt(exchange.pool!.config, endpoint);
  // What an idle connection carries is sent within this call.
  exchange.sentAtMs = eventTimeMs();
  exchange.logged?.attemptStarted(endpoint, exchange.sentAtMs);
  exchange.endpoint = endpoint;
  // Picked although it is out, since there is no other: what comes of it says whether it is back.
  if (engine.endpoints.isOut(endpoint.row)) exchange.trialRow = endpoint.row;
  if (exchange.admission !== null) exchange.admission.attemptBegins();
  else engine.endpoints.attemptBegins(exchange.pool!.config.poolRow, endpoint.row);
  exchange.inFlightRow = endpoint.row;
  exchange.targetHost = hostFor(exchange, endpoint);
  const connections = connectionsFor(exchange, endpoint);
  const connection = (mayReuse ? connections.takeIdle() : null) ?? connections.open();
  exchange.connection = connection;
  connection.begin(exchange, exchange.method.name === "HEAD", exchange.asksForWebsocket);
  if (connection.isConnected) sendRequest(exchange, connection);
  else {
    // The body stays unread until there is someone to send it to: so every method may try elsewhere.
    exchange.client.pauseBody();
    exchange.connectStartedAtMs = performance.now();
    connection.expectWithin(connectTimeout(exchange));
  }
}

/**
 * A target that drops connection attempts is noticed long before the service's own time is over, by how long connecting
 * takes elsewhere. Where nothing else is left to try, it has all of its time.
 */
function connectTimeout(exchange: Exchange): number {
  const { connectTimeoutMs, retries } = exchange.service!;
  const { config, history } = exchange.pool!;
  const isLast =
    exchange.extraAttempts >= retries || config.resilience.outlier === null || !hasBetterEndpoint(exchange);
  return isLast ? connectTimeoutMs : Math.min(connectTimeoutMs, history.connectLimitMs(exchange.connectStartedAtMs));
}

/** The connection that an attempt waited for is there. */
export function attemptConnected(exchange: Exchange): void {
  exchange.sentAtMs = performance.now();
  exchange.logged?.attemptConnected(exchange.sentAtMs);
  // Before anything is sent: a body that has waited and breaks a rule ends the exchange.
  exchange.pool!.history.connects.add(exchange.sentAtMs - exchange.connectStartedAtMs, exchange.sentAtMs);
  sendRequest(exchange, exchange.connection!);
}

function sendRequest(exchange: Exchange, connection: UpstreamConnection): void {
  if (connection.hostOfLine !== exchange.targetHost) {
    connection.hostOfLine = exchange.targetHost;
    connection.hostLine = flat(` HTTP/1.1\r\nHost: ${exchange.targetHost}\r\n`);
  }
  const head = exchange.method.lineStart + exchange.target + connection.hostLine + exchange.fields;
  const sentBefore = exchange.keptBody.text;
  if (exchange.isBodyComplete) {
    connection.socket.writeText(sentBefore === "" ? head : head + sentBefore);
    requestWritten(exchange, connection, exchange.sentAtMs);
    return;
  }
  exchange.unsentHead = sentBefore === "" ? head : "";
  if (sentBefore !== "") connection.socket.writeText(head + sentBefore);
  connection.expectNothing();
  exchange.client.resumeBody();
}

/** The whole request is out: from now on the server has to move. */
export function requestWritten(exchange: Exchange, connection: UpstreamConnection, nowMs: number): void {
  connection.requestSent();
  // Answered early, or asked again with an answer under way: nothing is waited for then.
  if (!connection.hasAnswerBytes) exchange.engine.stalls.begin(exchange, nowMs);
  awaitServer(exchange, connection);
}

/**
 * The server has so long to move, from now on; and no limit while it waits for our client, which may send its body and
 * take its answer at the same time. The client has limits of its own.
 */
export function awaitServer(exchange: Exchange, connection: UpstreamConnection): void {
  const { readTimeoutMs, writeTimeoutMs } = exchange.service!;
  if (exchange.isReadPaused) connection.expectNothing();
  else if (exchange.isBodyComplete) {
    connection.expectWithin(connection.hasAnswerBytes ? readTimeoutMs : firstByteTimeout(exchange, readTimeoutMs));
  } else if (connection.socket.isFull) connection.expectWithin(writeTimeoutMs);
  else connection.expectNothing();
}

/** How long the answer's first byte may take: less than the service's time where the user wants that, or for a trial. */
function firstByteTimeout(exchange: Exchange, readTimeoutMs: number): number {
  const { perTryTimeoutMs } = exchange.retry;
  const patienceMs = perTryTimeoutMs === null ? readTimeoutMs : Math.min(perTryTimeoutMs, readTimeoutMs);
  return exchange.trialLimitMs === null ? patienceMs : Math.min(patienceMs, exchange.trialLimitMs);
}

function connectionsFor(exchange: Exchange, endpoint: EndpointConfig): EndpointConnections {
  const { upstreams } = exchange.engine;
  const { tls } = exchange.service!;
  if (tls === null) return upstreams.connectionsTo(endpoint);
  return upstreams.secureConnectionsTo(endpoint, tls, hostName(exchange.targetHost));
}

/** The Host that the endpoint gets. */
export function hostFor(exchange: Exchange, endpoint: EndpointConfig): string {
  const preserved = exchange.preservesHost ? exchange.authority : "";
  return targetHost(exchange.pool!.config, endpoint, preserved, exchange.service!.tls !== null);
}

/** An attempt ended without a whole answer: another one, an error of our own, or a visibly broken answer. */
export function attemptLost(exchange: Exchange, loss: UpstreamLoss, detail: string): void {
  const { engine } = exchange;
  const connection = exchange.connection!;
  const endpoint = exchange.endpoint!;
  const lost: LostAttempt = {
    loss,
    isReused: connection.isReused,
    hasAnswerBytes: connection.hasAnswerBytes,
    mayRepeat: exchange.keptBody.isWhole && mayExecuteTwice(exchange),
    extraAttempts: exchange.extraAttempts,
    retries: exchange.service!.retries,
  };
  const step = nextStep(lost);
  exchange.connection = null;
  noteLoss(exchange, endpoint, lost, detail);
  if (step === "fresh_connection") exchange.admission?.keepForNext();
  exchange.attemptEnds();
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
  if (step === "fresh_connection") attemptAt(exchange, endpoint, false);
  else if (step === "give_up" || !isPaidFor(exchange, loss) || !attemptElsewhere(exchange)) {
    const error = isConnectFailure(loss) && areAllOut(exchange) ? "all_unavailable" : errorOfLoss(loss);
    // A defect's detail is a stack trace: for the log, not for clients.
    answerByOurselves(exchange, proxyError(error), loss === "defect" ? "" : detail);
  }
}

/** What a loss says of the endpoint, and who is told. */
function noteLoss(exchange: Exchange, endpoint: EndpointConfig, lost: LostAttempt, detail: string): void {
  const { engine } = exchange;
  const { loss } = lost;
  const isConnect = isConnectFailure(loss);
  engine.counters.add(isConnect ? Counter.connect_failures : Counter.attempts_lost);
  engine.traffic.countLoss(exchange.pool!.config, endpoint, loss);
  exchange.logged?.attemptEnded(proxyError(errorOfLoss(loss)).type, performance.now());
  if (loss === "defect") engine.onDefect(detail);
  if (loss === "connect_timeout" || loss === "timeout") engine.counters.add(limitOfLoss(exchange, loss));
  // A connection that was kept and is closed just then is none of the endpoint's failures.
  const isEndpoints = isConnect ? !isOwnFailure(exchange, loss) : isReset(lost);
  if (isEndpoints || loss === "stalled") noteLatencyOfLoss(exchange, performance.now());
  if (isEndpoints) engine.passiveChecks.lost(exchange.pool!.config, endpoint, loss);
  if (exchange.trialRow >= 0 && isEndpoints) endTrial(exchange, "failed", loss);
  if (!isEndpoints) return;
  if (isConnect) ejectRefusing(exchange, endpoint, loss);
  else countReset(exchange, endpoint);
}

/**
 * Whether a handshake may have failed for what this service trusts and shows, or for the name that this client has sent:
 * it then says nothing of the endpoint to others, who may well be served by it.
 */
function isOwnFailure({ pool, preservesHost, authority }: Exchange, loss: UpstreamLoss): boolean {
  return isHandshakeFailure(loss) && (!pool!.hasOneTls || (preservesHost && authority !== ""));
}

/** Whether several endpoints could be asked and none is in. */
function areAllOut(exchange: Exchange): boolean {
  const { length } = exchange.pool!.set.endpoints;
  return length > 1 && outCount(exchange) === length;
}

/** Which of the service's times ran out. */
function limitOfLoss(exchange: Exchange, loss: UpstreamLoss): number {
  if (loss === "connect_timeout") return Counter.limit_connect_time;
  return exchange.isBodyComplete ? Counter.limit_read_time : Counter.limit_write_time;
}

/** A connection that did not come about costs its target nothing; what was stalled has paid already. */
function isPaidFor(exchange: Exchange, loss: UpstreamLoss): boolean {
  return isConnectFailure(loss) || loss === "stalled" || isInBudget(exchange, performance.now());
}

/** Another attempt, at an endpoint that this request has not been at. @returns false when there is none */
function attemptElsewhere(exchange: Exchange): boolean {
  const next = nextEndpoint(exchange);
  if (next === null) return waitForAnother(exchange);
  attemptNext(exchange, next);
  return true;
}

/** Where those that could be asked have no room, the request waits for them. @returns false when it cannot */
function waitForAnother(exchange: Exchange): boolean {
  const { admission, engine } = exchange;
  if (admission === null || !admission.isFull) return false;
  // Behind all others, and holding nothing.
  admission.requestEnds();
  if (!engine.turns.join(exchange)) return false;
  engine.counters.add(Counter.retries);
  exchange.extraAttempts++;
  return true;
}

/** Another attempt, at this endpoint, which `nextEndpoint` named. */
export function attemptNext(exchange: Exchange, next: EndpointConfig): void {
  exchange.engine.counters.add(Counter.retries);
  exchange.extraAttempts++;
  attemptAt(exchange, next, true);
}

import { defaultResilience, type RetryConfig } from "../config/resilience-config.ts";
import type { EndpointConfig, RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import type { EndpointWaits, Waiting } from "../health/route-waits.ts";
import { Framing } from "../http1/body-framing.ts";
import { type Method, noMethod } from "../http1/method.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import type { ServedPool } from "../snapshot/snapshot-holder.ts";
import { eventTimeMs } from "../socket/event-time.ts";
import type { ReadBuffer } from "../socket/read-buffer.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamLoss } from "../upstream/http1-client.ts";
import type { Admission } from "./admission.ts";
import { readWantedType } from "./answer.ts";
import { attemptConnected, attemptLost, attemptNext } from "./attempt.ts";
import { clientAddress } from "./client-address.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { AnswerFacts, ForwardFacts } from "./forward-head.ts";
import { askInstead, type BadAnswer, waitIsOver } from "./judge-answer.ts";
import { KeptBody } from "./kept-body.ts";
import { LoggedRequest } from "./logged-request.ts";
import { noteAnswer } from "./note-latency.ts";
import { type OriginClaims, readOriginClaims } from "./origin-claims.ts";
import type { ProxyEngine } from "./proxy-engine.ts";
import { clientLeft, recordExchange } from "./record-exchange.ts";
import {
  flushAnswerHead,
  relayAnswerBytes,
  relayAnswerEnd,
  relayAnswerHead,
  relayAnswerTrailers,
  upstreamDrained,
} from "./relay-body.ts";
import { continueUnasked, relayInterimAnswer } from "./relay-interim.ts";
import { relayUpgrade } from "./relay-upgrade.ts";
import { RepeatedLines } from "./repeated-lines.ts";
import { TotalDeadline } from "./total-deadline.ts";
import type { RoutePlace } from "./traffic-metrics.ts";
import { endTrial } from "./trial.ts";

/**
 * One request and its answer. A client's connection has one of these for all its requests, one after the
 * other: between them `begin` sets every field anew, and nothing of a request outlives its exchange.
 * What happens in which order is told by proxy-request.ts.
 */
export class Exchange implements ResponseReceiver, ForwardFacts, AnswerFacts, Waiting {
  readonly engine: ProxyEngine;
  readonly client: ClientConnection;
  readonly repeated: RepeatedLines;

  // The request.
  /** Between `begin` and the end of the answer. */
  isActive = false;
  method: Method = noMethod;
  minorVersion = 1;
  requestId = "";
  startedAtMs = 0;
  accept = "";
  /** Only of a request with a body and without Accept: what an answer of our own may go by instead. */
  contentType = "";
  host = "";
  /** Host and port as the client sent them. */
  authority = "";
  /** Who made the request: whatever limits, hashes or logs by client uses this and nothing that a client can write. */
  clientAddress = "";
  /** What a trusted peer says of the request as the client made it; null from any other. */
  claims: OriginClaims | null = null;
  /** Path and query as sent. */
  sentTarget = "";
  rawPath = "";
  strippedPrefix = "";
  clientKeepsAlive = true;
  expectsContinue = false;
  /** Bytes of body that the route takes. */
  bodyMaxBytes = Number.POSITIVE_INFINITY;
  asksForWebsocket = false;
  /** Of what the pool hashes; see hash32.ts. */
  hash = 0;
  /** What the cookie of sticky sessions says. */
  stickyKey = "";
  /** The client's body is complete, or there is none. */
  isBodyComplete = true;
  /** What was sent of the body. */
  readonly keptBody = new KeptBody();

  // Where it goes, and the attempts to get it there.
  pool: ServedPool | null = null;
  route: RouteConfig | null = null;
  /** Where the route stands among those of its snapshot. */
  routeSlot = -1;
  service: ServiceConfig | null = null;
  place: RoutePlace | null = null;
  /** When it is sent again. */
  retry: RetryConfig = defaultResilience.retry;
  preservesHost = false;
  /** Path and query for the upstream. */
  target = "";
  /** The Host that the attempt's endpoint gets. */
  targetHost = "";
  /** Everything of the upstream's head after Host. */
  fields = "";
  connection: UpstreamConnection | null = null;
  endpoint: EndpointConfig | null = null;
  readonly tried: EndpointConfig[] = [];
  extraAttempts = 0;
  /** Answers that another endpoint was asked to better. */
  readonly badAnswers: BadAnswer[] = [];
  /** Row of the endpoint that this request tries out for everybody; -1: none. */
  trialRow = -1;
  /** How long a trial's first byte may take; null for what is none. */
  trialLimitMs: number | null = null;
  waits: EndpointWaits | null = null;
  /** Is on the list of those that may wait; only StallWatch changes it. */
  isWatched = false;
  waitingSinceMs = 0;
  previousWaiting: Waiting | null = null;
  nextWaiting: Waiting | null = null;
  connectStartedAtMs = 0;
  /** What it holds, or waits for, in a pool with limits; null in any other. */
  admission: Admission | null = null;
  /** The endpoint row at which an attempt is counted as under way; -1: none is. */
  inFlightRow = -1;
  sentAtMs = 0;
  /** The attempt's head, until the first piece of body goes out with it in one write. */
  unsentHead = "";

  // The answer.
  /** A head, ours or the upstream's, was begun: from here on there is no other answer. */
  isAnswered = false;
  /** The answer's head, until the first piece of body goes out with it in one write. */
  unsentAnswerHead = "";
  /** The answer's end is the server's close: this client gets it in chunks. */
  wrapsInChunks = false;
  /** Only closing tells this client where the answer ends. */
  endsByClose = false;
  isReadPaused = false;
  framingLine = "";
  /** Header line with a cookie of ours; "" for none. */
  cookieLine = "";
  passesTrailers = false;
  upstreamLatencyMs = 0;
  proxyLatencyMs = 0;
  closes = false;

  // What is counted and logged at the end (record-exchange.ts).
  /** Of the answer; 0 until there is one. */
  status = 0;
  /** From the client and to it: heads and bodies, in their framing. */
  bytesIn = 0;
  bytesOut = 0;
  /** From the request's sending to the answer's head; below 0 without one. */
  answerLatencyMs = -1;
  /** RFC 9209 error type of what went wrong; "" for nothing. */
  failure = "";
  /** null without an access log, unless the client is told of the attempts. */
  logged: LoggedRequest | null;
  /** The answer tells of the attempts. */
  tellsAttempts = false;

  readonly #isPeerTrusted: boolean;
  #total: TotalDeadline | null = null;

  constructor(engine: ProxyEngine, client: ClientConnection) {
    this.engine = engine;
    this.client = client;
    this.repeated = new RepeatedLines(client);
    this.clientAddress = client.remoteAddress;
    this.logged = engine.accessLog === null ? null : new LoggedRequest();
    this.#isPeerTrusted = engine.trustedProxies?.has(client.remoteAddress) ?? false;
  }

  get remoteAddress(): string {
    return this.client.remoteAddress;
  }

  get localPort(): number {
    return this.client.localPort;
  }

  get certificateLines(): string {
    return this.client.tls?.certificateLines ?? "";
  }

  /** As the client sees it: a trusted proxy may have taken TLS off. */
  get scheme(): "http" | "https" {
    return this.claims?.scheme || this.client.scheme;
  }

  /** Takes the facts of a head that was parsed from `bytes`. */
  begin(head: RequestHead, bytes: Buffer): void {
    this.reset();
    this.method = head.method;
    this.minorVersion = head.minorVersion;
    this.clientKeepsAlive = head.keepsAlive;
    this.expectsContinue = head.expectsContinue;
    this.asksForWebsocket = head.asksForWebsocket;
    this.isBodyComplete = head.framing === Framing.None;
    head.takeText(bytes);
    readWantedType(this, head, bytes);
    this.repeated.takeHost(head, bytes);
    this.authority = this.repeated.authority;
    this.host = this.repeated.host;
    this.bytesIn = head.byteLength;
    this.logged?.begin(head, bytes);
    if (this.#isPeerTrusted) {
      this.claims = readOriginClaims(head, bytes);
      this.clientAddress = clientAddress(this.client.remoteAddress, this.claims, this.engine.trustedProxies!);
    }
    if (head.asksForAttempts && this.engine.debugFrom?.has(this.clientAddress)) {
      this.tellsAttempts = true;
      this.logged ??= new LoggedRequest();
    }
  }

  /** A fresh state with nothing but an id and a start: also for what is refused before it is a request. */
  reset(): void {
    this.#forget();
    this.isActive = true;
    this.method = noMethod;
    this.minorVersion = 1;
    this.requestId = this.engine.requestIds.next();
    this.startedAtMs = eventTimeMs();
    this.contentType = "";
    this.host = "";
    this.authority = "";
    this.clientAddress = this.client.remoteAddress;
    this.clientKeepsAlive = false;
    this.expectsContinue = false;
    this.asksForWebsocket = false;
    this.isBodyComplete = true;
    this.bodyMaxBytes = Number.POSITIVE_INFINITY;
    this.keptBody.start(0);
    this.extraAttempts = 0;
    this.unsentHead = "";
    this.isAnswered = false;
    this.cookieLine = "";
    this.unsentAnswerHead = "";
    this.wrapsInChunks = false;
    this.endsByClose = false;
    this.isReadPaused = false;
    this.closes = false;
    this.status = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.answerLatencyMs = -1;
    this.failure = "";
    this.logged?.reset();
  }

  /** What belongs to one request and may be large, or keep others in memory. */
  #forget(): void {
    this.claims = null;
    this.accept = "";
    this.sentTarget = "";
    this.rawPath = "";
    this.strippedPrefix = "";
    this.pool = null;
    this.route = null;
    this.service = null;
    this.place = null;
    this.target = "";
    this.fields = "";
    this.connection = null;
    this.endpoint = null;
    // Setting the length of an array leaves compiled code, also where it changes nothing: 0.1 us each (bench W1).
    if (this.tried.length > 0) this.tried.length = 0;
  }

  /** The attempt is over, however it ended: what is counted once is uncounted once. */
  attemptEnds(): void {
    this.waits?.end(this);
    if (this.trialRow >= 0) endTrial(this, "unclear", "");
    this.trialLimitMs = null;
    if (this.inFlightRow < 0) return;
    if (this.admission !== null) this.admission.attemptEnds();
    else this.engine.endpoints.attemptEnds(this.pool!.config.poolRow, this.inFlightRow);
    this.inFlightRow = -1;
  }

  /** The whole exchange has so long from now on. */
  endWithin(delayMs: number): void {
    this.#total ??= new TotalDeadline(this);
    this.#total.start(delayMs);
  }

  /** Ends the attempt under way, which is to blame for nothing: an answer of our own takes its place. */
  abandonAttempt(): void {
    const { connection } = this;
    this.waits?.gaveUp(this, performance.now());
    this.attemptEnds();
    this.connection = null;
    connection?.abandon();
  }

  /** The client's connection is gone. */
  release(): void {
    this.#total?.release();
  }

  /** The answer is written: an idle connection must not keep what its last request needed. */
  finish(): void {
    this.attemptEnds();
    this.tellsAttempts = false;
    if (this.engine.accessLog === null) this.logged = null;
    this.admission?.requestEnds();
    this.admission = null;
    this.#total?.stop();
    this.isActive = false;
    this.#forget();
    if (this.badAnswers.length > 0) this.badAnswers.length = 0;
    this.targetHost = "";
    this.hash = 0;
    this.stickyKey = "";
    this.keptBody.release();
  }

  /** The client is gone, or gets no whole answer: whatever is still under way for it ends. */
  abandon(): void {
    if (this.failure === "") this.failure = clientLeft;
    recordExchange(this);
    this.abandonAttempt();
    this.finish();
  }

  onUpstreamConnected(): void {
    attemptConnected(this);
  }

  onResponseHead(head: ResponseHead, bytes: Buffer): void {
    const nowMs = this.#answerBegins(head);
    const next = askInstead(this, head, bytes, nowMs);
    if (next === null) relayAnswerHead(this, head, nowMs);
    else this.#askElsewhere(head, next);
  }

  #answerBegins({ status }: ResponseHead): number {
    const nowMs = eventTimeMs();
    waitIsOver(this, nowMs);
    this.logged?.attemptAnswered(status, nowMs);
    noteAnswer(this, nowMs);
    return nowMs;
  }

  /** Leaves an answer to the connection that it comes on, which is good for others when the rest of it is read. */
  #askElsewhere({ status }: ResponseHead, next: EndpointConfig): void {
    const { connection } = this;
    this.connection = null;
    this.logged?.attemptEnded(`status_${status}`, performance.now());
    this.attemptEnds();
    attemptNext(this, next);
    // Last: until then a defect is told to this exchange, whose client must not wait for ever.
    connection!.discardAnswer();
  }

  onInterimHead(head: ResponseHead): void {
    waitIsOver(this, performance.now());
    relayInterimAnswer(this, head);
  }

  onUpgrade(head: ResponseHead, from: ReadBuffer, start: number, end: number): void {
    const nowMs = this.#answerBegins(head);
    // 101 is as good an answer as any: there is none to be asked instead.
    askInstead(this, head, from.bytes, nowMs);
    relayUpgrade(this, head, from, start, end);
  }

  onContinueTimeout(): void {
    continueUnasked(this);
  }

  onResponseBytes(from: ReadBuffer, start: number, end: number): void {
    relayAnswerBytes(this, from, start, end);
  }

  onResponseTrailers(lines: string): void {
    relayAnswerTrailers(this, lines);
  }

  onResponseFlush(): void {
    flushAnswerHead(this);
  }

  onResponseEnd(): void {
    relayAnswerEnd(this);
  }

  onUpstreamDrain(): void {
    upstreamDrained(this);
  }

  onUpstreamLost(loss: UpstreamLoss, detail: string): void {
    // This call may come from the boundary that catches defects: there is no other one behind it.
    try {
      attemptLost(this, loss, detail);
    } catch (error) {
      this.engine.onDefect(error);
      this.failure = "proxy_internal_error";
      this.client.cut();
    }
  }
}

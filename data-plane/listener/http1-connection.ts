import type { Socket } from "node:net";
import { Framing } from "../http1/body-framing.ts";
import { headProblem } from "../http1/head-problem.ts";
import { PartialHead } from "../http1/partial-head.ts";
import { answerByOurselves } from "../proxy/answer.ts";
import type { ClientConnection } from "../proxy/client-connection.ts";
import { Exchange } from "../proxy/exchange.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { type ProxyError, proxyError, requestError } from "../proxy/proxy-error.ts";
import { proxyRequest } from "../proxy/proxy-request.ts";
import { clientDrained, flushRequestHead } from "../proxy/relay-body.ts";
import type { TlsClient } from "../proxy/tls-client.ts";
import type { TunnelSide } from "../proxy/tunnel.ts";
import { type ByteReader, type ByteSocket, PlainSocket } from "../socket/byte-socket.ts";
import { ReadBuffer } from "../socket/read-buffer.ts";
import { takeUnread } from "./accepted-socket.ts";
import { type Awaited, ClientTimes, type TimedClient } from "./client-times.ts";
import { countRefusal } from "./count-refusal.ts";
import { FirstBytesReader } from "./first-bytes-reader.ts";
import type { Member } from "./member-list.ts";
import { type BodyOwner, RequestBodyFlow } from "./request-body-flow.ts";

/**
 * Idle: between requests. Head: a head has begun to arrive. Exchange: a request is being answered. Ending: the
 * last answer is written, what still comes is thrown away. Tunnel: the socket is read by others. Closed: nothing
 * happens any more.
 */
const Phase = { Idle: 0, Head: 1, Exchange: 2, Ending: 3, Tunnel: 4, Closed: 5 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** Who keeps the set of a worker's connections. */
export interface ConnectionOwner {
  connectionClosed(connection: Http1Connection): void;
}

/** How a client is connected. */
export interface ClientLink {
  readonly remoteAddress: string;
  /** The listener's. */
  readonly localPort: number;
  /** null: nothing is encrypted. */
  readonly tls: TlsClient | null;
  /** Begins to read: from now on `reader` is told what happens. */
  attach(reader: ByteReader): ByteSocket;
}

/** A client's HTTP/1.x connection: one exchange at a time, in the order in which the requests came. */
export class Http1Connection implements ByteReader, ClientConnection, TimedClient, BodyOwner, Member {
  place = -1;
  readonly socket: ByteSocket;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly scheme: "http" | "https";
  readonly tls: TlsClient | null;
  readonly #engine: ProxyEngine;
  readonly #owner: ConnectionOwner;
  readonly #exchange: Exchange;
  readonly #times: ClientTimes;
  /** What arrived and cannot be used yet: half a head, a body nobody takes yet, or the next requests. */
  readonly #kept = new PartialHead();
  #phase: Phase = Phase.Idle;
  #isReading = false;
  /** The client has sent FIN: it can still be answered. */
  #hasEnded = false;
  /** The client has said that it sends nothing after this request. */
  #isLast = false;
  readonly #body: RequestBodyFlow;
  #lingerBytes = 0;

  constructor(engine: ProxyEngine, owner: ConnectionOwner, link: ClientLink) {
    this.#engine = engine;
    this.#owner = owner;
    this.remoteAddress = link.remoteAddress;
    this.localPort = link.localPort;
    this.tls = link.tls;
    this.scheme = link.tls === null ? "http" : "https";
    this.#exchange = new Exchange(engine, this);
    this.#times = new ClientTimes(engine, this);
    this.#body = new RequestBodyFlow(this, this.#exchange, this.#times);
    this.socket = link.attach(new FirstBytesReader(this));
  }

  /** Between requests, and none waits here to be read. */
  get isIdle(): boolean {
    return this.#phase === Phase.Idle && this.#kept.length === 0;
  }

  /** Closes an idle connection, once the answer before has left. */
  closeIdle(): void {
    if (this.socket.hasPending || this.tls !== null) this.#end();
    else this.socket.destroy();
  }

  close(): void {
    this.socket.destroy();
  }

  /** The socket, for another thread, when nothing was read of it: this connection then ends, and the client's goes on. */
  giveUp(): Socket | null {
    if (!(this.socket instanceof PlainSocket) || !this.socket.isUntouched) return null;
    const socket = takeUnread(this.socket.detach());
    this.#phase = Phase.Closed;
    this.#times.release();
    return socket;
  }

  onConnected(): void {}

  onBytes(from: ReadBuffer, length: number): void {
    switch (this.#phase) {
      case Phase.Idle:
        this.#read(from, 0, length);
        return;
      case Phase.Head:
        if (this.#kept.add(from.bytes, 0, length)) this.#readKept();
        // A piece without a line end is parsed again only when the head has become too large: to say so.
        else if (this.#kept.length > this.#engine.limits.headMaxBytes) this.#readKept();
        return;
      case Phase.Exchange:
        if (this.#body.flows && !this.#body.isRead()) this.#read(from, 0, length);
        else {
          this.#kept.add(from.bytes, 0, length);
          this.#awaitMore();
        }
        return;
      case Phase.Ending:
        this.#lingerBytes += length;
        if (this.#lingerBytes > this.#engine.limits.lingerMaxBytes) this.socket.destroy();
        return;
      default:
    }
  }

  /** A client that takes no answers, or was told to wait, is not read any further. */
  get #takesRequests(): boolean {
    return !this.socket.isFull && !this.#times.isHeld;
  }

  #readKept(): void {
    const { bytes, start, end } = this.#kept;
    this.#read(new ReadBuffer(bytes, false), start, end);
  }

  /** Uses [start, end) as far as it can: bodies, and one request after the other. The rest is kept. */
  #read(from: ReadBuffer, start: number, end: number): void {
    this.#isReading = true;
    let at = start;
    let turns = this.#engine.limits.pipelinedMaxCount;
    while (at < end) {
      const before = at;
      if (this.#phase < Phase.Exchange) {
        if (this.#takesRequests && turns-- > 0) at = this.#readHead(from, at, end);
      } else if (this.#phase === Phase.Exchange && this.#body.flows) {
        if (from.bytes === this.#kept.bytes) this.#kept.lend();
        at = this.#body.read(from, at, end);
      }
      if (at === before) break;
    }
    this.#isReading = false;
    this.socket.uncork();
    if (this.#phase === Phase.Exchange) flushRequestHead(this.#exchange);
    if (this.#phase >= Phase.Ending) return;
    // A client that was told to wait sends its next head while it waits: it is kept where this one was.
    if (from.bytes === this.#kept.bytes) this.#kept.useTo(at, this.#times.isHeld);
    else if (at < end) this.#kept.add(from.bytes, at, end);
    if (turns < 0) this.#readOnLater();
    else if (at < end) this.#awaitMore();
    // FIN came during an earlier request: of what is not whole by now nothing will come.
    else if (this.#hasEnded) this.onEnd();
    if (this.#phase !== Phase.Exchange) {
      this.#listen();
      return;
    }
    if (this.#body.flows) this.#times.awaitBody();
    // Reading may rest since before. Nothing is kept, so this is also how a client that leaves is noticed.
    if (this.#body.flows || (this.#body.isRead() && at === end)) this.socket.resume();
  }

  /** What is kept cannot be used before something happens: more of it comes, or the request before is answered. */
  #awaitMore(): void {
    if (this.#phase === Phase.Exchange || this.#times.isHeld) {
      // Reading on a little is how a client that leaves meanwhile is noticed. It also spares a pause for each refusal.
      if (this.#kept.length < this.#engine.limits.pipelinedMaxBytes) return;
      if (this.#body.isRead()) this.#engine.counters.add(Counter.limit_pipelined);
      this.socket.pause();
    } else if (this.socket.isFull) this.socket.pause();
    else if (this.#hasEnded) this.#end();
    else {
      this.#times.awaitHead();
      this.#phase = Phase.Head;
    }
  }

  /** One client's requests, answered by ourselves one after the other, must not keep the others waiting. */
  #readOnLater(): void {
    this.#engine.counters.add(Counter.limit_pipelined);
    this.socket.pause();
    setImmediate(() => {
      if (this.#phase < Phase.Exchange) this.#readOn();
    });
  }

  /** @returns position after the head, or `start` when it is not whole or was refused */
  #readHead(from: ReadBuffer, start: number, end: number): number {
    const { head } = this.#engine;
    const headEnd = head.parse(from.bytes, start, end);
    if (headEnd < 0) this.refuse(headEnd);
    if (headEnd <= 0) return start;
    this.#times.headCame();
    this.#phase = Phase.Exchange;
    this.#isLast = !head.keepsAlive;
    this.#body.start(head);
    // With the next request here already, answers of our own to both leave in one write.
    if (headEnd < end && head.framing === Framing.None) this.socket.cork();
    proxyRequest(this.#exchange, head, from.bytes);
    return headEnd;
  }

  refuse(code: number, error?: ProxyError): void {
    countRefusal(this.#engine.counters, -code);
    const { status, name } = headProblem(code);
    this.fail(error ?? requestError(status), name);
  }

  /** Nothing of a stream that broke a rule is read again: answer if that can be, end, throw away what still comes. */
  fail(error: ProxyError, detail = ""): void {
    const exchange = this.#exchange;
    if (exchange.isActive && exchange.isAnswered) {
      exchange.failure = error.type;
      this.cut();
    }
    // Its request was answered already; only the rest of the body was being thrown away.
    else if (this.#phase === Phase.Exchange && !exchange.isActive) this.#end();
    else {
      if (exchange.isActive) exchange.abandonAttempt();
      else exchange.reset();
      this.#phase = Phase.Exchange;
      exchange.clientKeepsAlive = false;
      answerByOurselves(exchange, error, detail);
    }
  }

  bodyEnded(): void {
    // An answer of our own waited for the rest of the body to be thrown away.
    if (!this.#exchange.isActive) this.#nextRequest();
  }

  resumeBody(): void {
    if (this.#body.isRead()) return;
    this.#body.resume();
    // Inside #read the loop goes on by itself.
    if (this.#isReading) return;
    if (this.#kept.length > 0) {
      this.#readKept();
      return;
    }
    flushRequestHead(this.#exchange);
    this.#times.awaitBody();
    this.socket.resume();
  }

  pauseBody(): void {
    this.#body.pause();
  }

  restBody(): void {
    this.#body.rest();
  }

  canDiscardBody(): boolean {
    return this.#body.canDiscard();
  }

  awaitDrain(): void {
    this.#times.awaitAnswer();
  }

  holdNext(): void {
    this.#times.askHold();
  }

  onDrain(): void {
    this.#times.answerRests();
    if (this.#phase < Phase.Exchange) this.#readOn();
    else clientDrained(this.#exchange);
  }

  becomeTunnelSide(): TunnelSide {
    const { bytes, start, end } = this.#kept;
    this.#kept.clear();
    this.#phase = Phase.Tunnel;
    this.#times.release();
    const early = new ReadBuffer(bytes, false);
    return { socket: this.socket, connection: this, early, earlyStart: start, earlyEnd: end, hasEnded: this.#hasEnded };
  }

  answered(keepAlive: boolean): void {
    if (!keepAlive) {
      const isAllRead = this.#body.isRead() && !this.#isReading && this.#kept.length === 0;
      // Nothing is left to read or to come: closing sends FIN as well, and spares waiting for the client's. TLS has to
      // say that it ends (close_notify), or its peer could take the end for a cut.
      if (this.#isLast && isAllRead && !this.socket.hasPending && this.tls === null) this.socket.destroy();
      else this.#end();
    } else if (this.#body.isRead()) this.#nextRequest();
    // What is left of the request's body is thrown away on the way to the next head.
    else this.resumeBody();
  }

  #nextRequest(): void {
    if (this.#phase !== Phase.Exchange) return;
    this.#phase = Phase.Idle;
    this.#times.awaitRequest();
    if (!this.#isReading) this.#readOn();
  }

  #readOn(): void {
    // A client that sends requests but takes no answers is not read any further: onDrain goes on.
    if (this.socket.isFull) {
      this.socket.pause();
      return;
    }
    if (this.#times.isHeld) return;
    if (this.#kept.length > 0) this.#readKept();
    else if (this.#hasEnded) this.#end();
    this.#listen();
  }

  /** Between exchanges: reading may rest since before, and what is kept needs more, or there is nothing. */
  #listen(): void {
    if (!this.#takesRequests) return;
    if (this.#phase === Phase.Head || (this.#phase === Phase.Idle && this.#kept.length === 0)) this.socket.resume();
  }

  /** FIN, then wait a little: closing with bytes unread would make the kernel throw the last answer away. */
  #end(): void {
    if (this.#phase >= Phase.Ending) return;
    this.#phase = Phase.Ending;
    this.#kept.clear();
    this.#times.awaitEnd();
    this.socket.end();
    this.socket.resume();
  }

  onFlushed(): void {
    if (this.#phase === Phase.Ending) this.#times.linger();
  }

  cut(): void {
    if (this.#exchange.isActive) this.#exchange.abandon();
    this.#phase = Phase.Closed;
    this.socket.reset();
  }

  /**
   * The client sent FIN. It may still read, so what it has asked for in full is answered; whether it is gone
   * altogether shows when we write, or by a reset. In the midst of a request nothing can come of it.
   */
  onEnd(): void {
    this.#hasEnded = true;
    if (this.#phase < Phase.Exchange) {
      // What a client has asked while it was held is still to be read.
      if (!this.#times.isHeld || this.#kept.length === 0) this.#end();
    } else if (this.#phase > Phase.Exchange || this.#body.isRead()) return;
    // All of a body that nobody takes yet may be here: when it is read, it shows.
    else if (this.#kept.length > 0 && !this.#body.flows && this.#body.mayEndWithin(this.#kept.length)) return;
    else if (this.#exchange.isActive) this.socket.destroy();
    else this.#end();
  }

  onTooLate(awaited: Awaited): void {
    const isExchange = this.#phase === Phase.Exchange;
    if (awaited === "hold") this.#readOn();
    else if (awaited === "head" || (awaited === "body" && isExchange)) this.fail(proxyError("request_timeout"));
    else if (isExchange) {
      this.#exchange.failure = "connection_write_timeout";
      this.cut();
    } else this.socket.destroy();
  }

  onClosed(): void {
    const exchange = this.#exchange;
    if (exchange.isActive) {
      this.#engine.counters.add(Counter.client_aborts);
      exchange.abandon();
    }
    this.#phase = Phase.Closed;
    this.#times.release();
    exchange.release();
    this.#kept.clear();
    this.#engine.counters.subtract(Counter.connections_active);
    this.#owner.connectionClosed(this);
  }

  onDefect(error: unknown): void {
    this.#engine.counters.add(Counter.defects);
    this.#engine.onDefect(error);
  }
}

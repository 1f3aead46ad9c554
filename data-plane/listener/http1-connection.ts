import type { Socket } from "node:net";
import { BodyCursor } from "../http1/body-cursor.ts";
import { Framing } from "../http1/body-framing.ts";
import { defaultRequestLimits } from "../http1/field-lines.ts";
import { headProblem } from "../http1/head-problem.ts";
import { PartialHead } from "../http1/partial-head.ts";
import { answerByOurselves } from "../proxy/answer.ts";
import { type ClientConnection, Exchange } from "../proxy/exchange.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import { type ProxyError, proxyError, requestError } from "../proxy/proxy-error.ts";
import { proxyRequest } from "../proxy/proxy-request.ts";
import {
  clientDrained,
  flushRequestHead,
  relayRequestBytes,
  relayRequestEnd,
  relayRequestTrailers,
} from "../proxy/relay-body.ts";
import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { ReadBuffer } from "../socket/read-buffer.ts";
import { Deadline, type DeadlineOwner } from "../upstream/deadline-wheel.ts";
import { type AcceptMode, acceptSocket } from "./accepted-socket.ts";

/**
 * Idle: between requests. Head: a head has begun to arrive. Exchange: a request is being answered. Ending: the
 * last answer is written, what still comes is thrown away. Closed: nothing happens any more.
 */
const Phase = { Idle: 0, Head: 1, Exchange: 2, Ending: 3, Closed: 4 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** A piece without a line end is parsed again only when the head has become too large: to say so. */
const headWaitMaxBytes = defaultRequestLimits.headMaxBytes;

/** Who keeps the set of a worker's connections. */
export interface ConnectionOwner {
  connectionClosed(connection: Http1Connection): void;
}

/** A client's HTTP/1.x connection: one exchange at a time, in the order in which the requests came. */
export class Http1Connection implements ByteReader, ClientConnection, DeadlineOwner {
  readonly socket: ByteSocket;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly scheme = "http";
  readonly #engine: ProxyEngine;
  readonly #owner: ConnectionOwner;
  readonly #exchange: Exchange;
  readonly #deadline: Deadline;
  /** What arrived and cannot be used yet: half a head, a body nobody takes yet, or the next requests. */
  readonly #kept = new PartialHead();
  #phase: Phase = Phase.Idle;
  #isReading = false;
  /** The client has sent FIN: it can still be answered. */
  #hasEnded = false;
  #bodyFlows = false;
  readonly #body = new BodyCursor();
  #lingerBytes = 0;

  /** @param place who connected, and the listener's port */
  constructor(
    engine: ProxyEngine,
    accepted: Socket,
    mode: AcceptMode,
    owner: ConnectionOwner,
    place: { readonly remoteAddress: string; readonly localPort: number },
  ) {
    this.#engine = engine;
    this.#owner = owner;
    this.remoteAddress = plainAddress(place.remoteAddress);
    this.localPort = place.localPort;
    this.#exchange = new Exchange(engine, this);
    this.#deadline = new Deadline(engine.wheel, this);
    this.#deadline.set(engine.limits.headTimeoutMs);
    this.socket = acceptSocket(accepted, mode, engine.buffers, this);
  }

  get isIdle(): boolean {
    return this.#phase === Phase.Idle;
  }

  /** Closes an idle connection, once the answer before has left. */
  closeIdle(): void {
    if (this.socket.hasPending) this.#end();
    else this.socket.destroy();
  }

  close(): void {
    this.socket.destroy();
  }

  onConnected(): void {}

  onBytes(from: ReadBuffer, length: number): void {
    switch (this.#phase) {
      case Phase.Idle:
        this.#read(from, 0, length);
        return;
      case Phase.Head:
        if (this.#kept.add(from.bytes, 0, length)) this.#readKept();
        else if (this.#kept.length > headWaitMaxBytes) this.#readKept();
        return;
      case Phase.Exchange:
        if (this.#bodyFlows && this.#body.framing !== Framing.None) {
          this.#read(from, 0, length);
          return;
        }
        // The next request, or a body that waits for its connection: one read's worth is kept, no more is read.
        this.#kept.add(from.bytes, 0, length);
        this.socket.pause();
        return;
      case Phase.Ending:
        this.#lingerBytes += length;
        if (this.#lingerBytes > this.#engine.limits.lingerMaxBytes) this.socket.destroy();
        return;
      default:
    }
  }

  #readKept(): void {
    const { bytes, start, end } = this.#kept;
    this.#read(new ReadBuffer(bytes, false), start, end);
  }

  /** Uses [start, end) as far as it can: bodies, and one request after the other. The rest is kept. */
  #read(from: ReadBuffer, start: number, end: number): void {
    this.#isReading = true;
    let at = start;
    while (at < end) {
      const before = at;
      if (this.#phase < Phase.Exchange) at = this.socket.isFull ? at : this.#readHead(from, at, end);
      else if (this.#phase === Phase.Exchange && this.#bodyFlows) at = this.#readBody(from, at, end);
      if (at === before) break;
    }
    this.#isReading = false;
    this.socket.uncork();
    if (this.#phase === Phase.Exchange) flushRequestHead(this.#exchange);
    if (this.#phase >= Phase.Ending) return;
    if (from.bytes === this.#kept.bytes) this.#kept.useTo(at);
    else if (at < end) this.#kept.add(from.bytes, at, end);
    if (at < end) this.#awaitMore();
  }

  #awaitMore(): void {
    if (this.#phase === Phase.Exchange || this.socket.isFull) {
      this.socket.pause();
      return;
    }
    // The time for a head counts from its first byte: later pieces do not extend it.
    if (this.#phase === Phase.Idle) this.#deadline.set(this.#engine.limits.headTimeoutMs);
    this.#phase = Phase.Head;
  }

  /** @returns position after the head, or `start` when it is not whole or was refused */
  #readHead(from: ReadBuffer, start: number, end: number): number {
    const { head } = this.#engine;
    const headEnd = head.parse(from.bytes, start, end);
    if (headEnd === 0) return start;
    if (headEnd < 0) {
      this.#refuse(headEnd);
      return start;
    }
    this.#deadline.clear();
    this.#phase = Phase.Exchange;
    this.#body.start(head.framing, head.contentLength);
    this.#bodyFlows = false;
    if (head.framing === Framing.Chunked) this.#body.startChunks(false, head.fields.nominated);
    // With the next request here already, answers of our own to both leave in one write.
    if (headEnd < end && head.framing === Framing.None) this.socket.cork();
    proxyRequest(this.#exchange, head, from.bytes);
    return headEnd;
  }

  /** Nothing of a stream that broke a rule is read again: answer, end, and throw away what still comes. */
  #refuse(code: number): void {
    const problem = headProblem(code);
    this.#engine.counters.add(Counter.rejected_requests);
    const exchange = this.#exchange;
    if (exchange.isActive && exchange.isAnswered) {
      this.cut();
      return;
    }
    // Its request was answered already; only the rest of the body was being thrown away.
    if (this.#phase === Phase.Exchange && !exchange.isActive) {
      this.#end();
      return;
    }
    this.#answerAndEnd(requestError(problem.status), problem.name);
  }

  /** An answer of our own to whatever the client is about, and nothing after it. */
  #answerAndEnd(error: ProxyError, detail: string): void {
    const exchange = this.#exchange;
    if (exchange.isActive) exchange.abandon();
    else exchange.reset();
    this.#phase = Phase.Exchange;
    exchange.clientKeepsAlive = false;
    answerByOurselves(exchange, error, detail);
  }

  /** @returns position after what was used */
  #readBody(from: ReadBuffer, start: number, end: number): number {
    const body = this.#body;
    if (body.framing === Framing.None) return start;
    const next = body.read(from.bytes, start, end);
    if (next < 0) {
      this.#refuse(next);
      return start;
    }
    this.socket.readsLargeBody = body.isLarge;
    const trailers = body.takeTrailers();
    if (trailers !== "") relayRequestTrailers(this.#exchange, trailers);
    if (body.forwardEnd > body.forwardStart) {
      relayRequestBytes(this.#exchange, from, body.forwardStart, body.forwardEnd);
    }
    if (body.isDone) this.#bodyEnd();
    else this.#deadline.set(this.#engine.limits.bodyIdleTimeoutMs);
    return next;
  }

  #bodyEnd(): void {
    this.#body.start(Framing.None, 0);
    this.#bodyFlows = false;
    this.socket.readsLargeBody = false;
    this.#deadline.clear();
    relayRequestEnd(this.#exchange);
    // An answer of our own waited for the rest of the body to be thrown away.
    if (!this.#exchange.isActive) this.#nextRequest();
  }

  resumeBody(): void {
    if (this.#body.framing === Framing.None) return;
    this.#bodyFlows = true;
    this.#deadline.set(this.#engine.limits.bodyIdleTimeoutMs);
    // Inside #read the loop goes on by itself.
    if (this.#isReading) return;
    if (this.#kept.length > 0) this.#readKept();
    else flushRequestHead(this.#exchange);
    // Requests that follow stay unread until this one is answered; else a client that leaves must be noticed.
    if (this.#bodyFlows || (this.#isBodyRead() && this.#kept.length === 0)) this.socket.resume();
  }

  #isBodyRead(): boolean {
    return this.#body.framing === Framing.None;
  }

  pauseBody(): void {
    this.#bodyFlows = false;
    if (this.#body.framing === Framing.None) return;
    this.#deadline.clear();
    this.socket.pause();
  }

  canDiscardBody(): boolean {
    if (this.#body.framing === Framing.None) return true;
    // A client that waits for 100 Continue sends its body or does not: nobody can tell.
    return (
      this.#body.framing === Framing.Length &&
      this.#body.left <= this.#engine.limits.discardMaxBytes &&
      !this.#exchange.expectsContinue
    );
  }

  awaitDrain(): void {
    this.#deadline.set(this.#engine.limits.writeIdleTimeoutMs);
  }

  onDrain(): void {
    if (this.#phase < Phase.Exchange) {
      this.#readOn();
      return;
    }
    if (this.#exchange.isReadPaused) this.#deadline.clear();
    clientDrained(this.#exchange);
  }

  answered(keepAlive: boolean): void {
    if (!keepAlive) {
      this.#end();
      return;
    }
    if (this.#body.framing === Framing.None) {
      this.#nextRequest();
      return;
    }
    // What is left of the request's body is thrown away on the way to the next head.
    this.resumeBody();
  }

  #nextRequest(): void {
    if (this.#phase !== Phase.Exchange) return;
    this.#phase = Phase.Idle;
    this.#deadline.set(this.#engine.limits.keepAliveTimeoutMs);
    if (!this.#isReading) this.#readOn();
  }

  #readOn(): void {
    // A client that sends requests but takes no answers is not read any further: onDrain goes on.
    if (this.socket.isFull) {
      this.socket.pause();
      return;
    }
    if (this.#kept.length > 0) this.#readKept();
    if (this.#phase >= Phase.Exchange) return;
    if (this.#hasEnded) this.#end();
    else this.socket.resume();
  }

  /** FIN, then wait a little: closing with bytes unread would make the kernel throw the last answer away. */
  #end(): void {
    if (this.#phase >= Phase.Ending) return;
    this.#phase = Phase.Ending;
    this.#kept.clear();
    // A slow client has the time for the rest of its answer that it would have had in the midst of it.
    this.#deadline.set(this.#engine.limits.writeIdleTimeoutMs);
    this.socket.end();
    this.socket.resume();
  }

  onFlushed(): void {
    if (this.#phase === Phase.Ending) this.#deadline.set(this.#engine.limits.lingerTimeoutMs);
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
    const isBodyRead = this.#body.framing === Framing.None;
    if (this.#phase < Phase.Exchange) this.#end();
    else if (this.#phase === Phase.Exchange && !isBodyRead && this.#exchange.isActive) this.socket.destroy();
    else if (this.#phase === Phase.Exchange && !isBodyRead) this.#end();
  }

  onDeadline(): void {
    const { isActive, isAnswered } = this.#exchange;
    if (this.#phase === Phase.Head || (this.#phase === Phase.Exchange && isActive && !isAnswered)) {
      this.#answerAndEnd(proxyError("request_timeout"), "");
    } else if (this.#phase === Phase.Exchange) this.cut();
    else this.socket.destroy();
  }

  onClosed(): void {
    const exchange = this.#exchange;
    if (exchange.isActive) {
      this.#engine.counters.add(Counter.client_aborts);
      exchange.abandon();
    }
    this.#phase = Phase.Closed;
    this.#deadline.release();
    this.#kept.clear();
    this.#engine.counters.subtract(Counter.connections_active);
    this.#owner.connectionClosed(this);
  }

  onDefect(error: unknown): void {
    this.#engine.counters.add(Counter.defects);
    this.#engine.onDefect(error);
  }
}

/** IPv4 clients of a dual-stack listener are known by their IPv4 address. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

import { BodyCursor } from "../http1/body-cursor.ts";
import { Framing } from "../http1/body-framing.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { Exchange } from "../proxy/exchange.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import { type ProxyError, proxyError } from "../proxy/proxy-error.ts";
import { relayRequestBytes, relayRequestEnd, relayRequestTrailers } from "../proxy/relay-body.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import type { ReadBuffer } from "../socket/read-buffer.ts";
import type { ClientTimes } from "./client-times.ts";

/** The connection that a body comes on. */
export interface BodyOwner {
  readonly socket: ByteSocket;
  /** The body broke a rule. @param code a Problem, negated */
  refuse(code: number): void;
  fail(error: ProxyError): void;
  /** The last byte was read and relayed. */
  bodyEnded(): void;
}

/** The body of the request that is being answered, on its way from the client to the exchange. */
export class RequestBodyFlow {
  readonly #owner: BodyOwner;
  readonly #exchange: Exchange;
  readonly #times: ClientTimes;
  readonly #cursor = new BodyCursor();
  #flows = false;

  constructor(owner: BodyOwner, exchange: Exchange, times: ClientTimes) {
    this.#owner = owner;
    this.#exchange = exchange;
    this.#times = times;
  }

  /** Someone takes what comes; else it waits with the client, and there may be none to come. */
  get flows(): boolean {
    return this.#flows;
  }

  /** All of it was read, or there is none. */
  isRead(): boolean {
    return this.#cursor.framing === Framing.None;
  }

  start(head: RequestHead): void {
    this.#cursor.start(head.framing, head.contentLength);
    if (head.framing === Framing.Chunked) this.#cursor.startChunks(false, head.fields.nominated);
    this.#flows = false;
  }

  resume(): void {
    this.#flows = true;
  }

  pause(): void {
    this.rest();
    if (!this.isRead()) this.#owner.socket.pause();
  }

  /** What comes is not taken, and is no more late. */
  rest(): void {
    this.#flows = false;
    if (!this.isRead()) this.#times.bodyRests();
  }

  /** Whether so many bytes, which have come and were not taken, may be the rest of it. Of chunks it is not known yet. */
  mayEndWithin(length: number): boolean {
    return this.#cursor.framing !== Framing.Length || this.#cursor.left <= length;
  }

  /** @returns position after what was used */
  read(from: ReadBuffer, start: number, end: number): number {
    const cursor = this.#cursor;
    const exchange = this.#exchange;
    if (this.isRead()) return start;
    const next = cursor.read(from.bytes, start, end);
    if (next < 0) {
      this.#owner.refuse(next);
      return start;
    }
    this.#times.bodyCame(next - start);
    this.#owner.socket.readsLargeBody = cursor.isLarge;
    if (cursor.contentBytes > exchange.bodyMaxBytes && exchange.isActive) {
      exchange.engine.counters.add(Counter.limit_body_bytes);
      this.#owner.fail(proxyError("body_too_large"));
      return start;
    }
    const trailers = cursor.takeTrailers();
    if (trailers !== "") relayRequestTrailers(exchange, trailers);
    if (cursor.forwardEnd > cursor.forwardStart) {
      relayRequestBytes(exchange, from, cursor.forwardStart, cursor.forwardEnd);
    }
    if (cursor.isDone) this.#end();
    return next;
  }

  #end(): void {
    this.#cursor.start(Framing.None, 0);
    this.#flows = false;
    this.#owner.socket.readsLargeBody = false;
    this.#times.bodyRests();
    relayRequestEnd(this.#exchange);
    this.#owner.bodyEnded();
  }

  /** Whether what is left is so little that it can be read and thrown away. */
  canDiscard(): boolean {
    if (this.isRead()) return true;
    const { expectsContinue, engine } = this.#exchange;
    // A client that waits for 100 Continue sends its body or does not: nobody can tell.
    return (
      this.#cursor.framing === Framing.Length && this.#cursor.left <= engine.limits.discardMaxBytes && !expectsContinue
    );
  }
}

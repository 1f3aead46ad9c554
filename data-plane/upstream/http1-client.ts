import { BodyCursor } from "../http1/body-cursor.ts";
import { Framing } from "../http1/body-framing.ts";
import { defaultResponseLimits } from "../http1/field-lines.ts";
import { headProblem, Problem } from "../http1/head-problem.ts";
import { PartialHead } from "../http1/partial-head.ts";
import { ResponseHead } from "../http1/response-head.ts";
import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { ReadBuffer } from "../socket/read-buffer.ts";
import { openUpstreamSocket } from "./connect.ts";
import { connectLoss, lossDetail } from "./connect-loss.ts";
import { Deadline, type DeadlineOwner } from "./deadline-wheel.ts";
import type { EndpointConnections } from "./upstream-pool.ts";

/** How an attempt was lost on its connection. */
export type UpstreamLoss =
  | "refused"
  | "unreachable"
  | "connect_timeout"
  | "no_socket"
  | "tls_certificate"
  | "tls_protocol"
  | "tls_alert"
  | "closed"
  | "timeout"
  | "stalled"
  | "bad_response"
  | "defect";

/** Who made a request on a connection and gets its answer. */
export interface ResponseReceiver {
  onUpstreamConnected(): void;
  /** A head 1xx other than 101, before the final one; `head` is valid only during the call. */
  onInterimHead(head: ResponseHead): void;
  /** The server switched to websocket, as it was asked to: [start, end) of `from` is the first of that. */
  onUpgrade(head: ResponseHead, from: ReadBuffer, start: number, end: number): void;
  /** What `awaitContinue` waited for did not come. */
  onContinueTimeout(): void;
  /** The final head; `head` and `bytes` are valid only during the call. */
  onResponseHead(head: ResponseHead, bytes: Buffer): void;
  /** Bytes of the body in the framing of the head, to be forwarded. */
  onResponseBytes(from: ReadBuffer, start: number, end: number): void;
  /** Trailer fields to be forwarded, each with its CRLF, before the bytes that end the body. */
  onResponseTrailers(lines: string): void;
  /** Nothing more of the body came with the head: whatever is held back should go out. */
  onResponseFlush(): void;
  /** After the last byte; the connection is no longer the receiver's. */
  onResponseEnd(): void;
  /** What was written has left: the request body may flow on. */
  onUpstreamDrain(): void;
  /** No (whole) answer will come; the connection is closed and no longer the receiver's. */
  onUpstreamLost(loss: UpstreamLoss, detail: string): void;
}

/** A request that is sent within the last second of an idle connection may meet its end. */
const closingMarginMs = 1_000;
/** A server that sends more interim answers than this is not going to answer. */
const interimMaxCount = 16;
/** What is left of an answer that nobody wants is read, so that its connection can be used again: so much, so long. */
const discardMaxBytes = 65_536;
const discardMaxMs = 1_000;
const nobody: ResponseReceiver = {
  onUpstreamConnected() {},
  onInterimHead() {},
  onUpgrade() {},
  onContinueTimeout() {},
  onResponseHead() {},
  onResponseBytes() {},
  onResponseTrailers() {},
  onResponseFlush() {},
  onResponseEnd() {},
  onUpstreamDrain() {},
  onUpstreamLost() {},
};
/** A piece without a line end is parsed again only when the head has become too large. */
const headWaitMaxBytes = defaultResponseLimits.headMaxBytes;

const Phase = { Connecting: 0, Idle: 1, Head: 2, Body: 3, Tunnel: 4, Closed: 5 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** Used by every connection of the thread: a head is read and told within one call. */
const head = new ResponseHead();

/** One HTTP/1.1 connection to an endpoint: one exchange at a time, checked as strictly as a client's. */
export class UpstreamConnection implements ByteReader, DeadlineOwner {
  readonly socket: ByteSocket;
  /** Has carried an exchange before: the server may have closed it just now. */
  isReused = false;
  /** The first byte of the answer is here. */
  hasAnswerBytes = false;
  /** For HTTP/1.0 clients: chunked answers are told without their framing. */
  decodesChunks = false;
  /** What the last request's line said after its target, and Host, for the next one to the same. */
  hostLine = "";
  hostOfLine = "";
  readonly #connections: EndpointConnections;
  readonly #deadline: Deadline;
  readonly #partial = new PartialHead();
  readonly #body = new BodyCursor();
  #receiver: ResponseReceiver | null = null;
  #phase: Phase = Phase.Connecting;
  #isHeadRequest = false;
  #asksForWebsocket = false;
  #isRequestSent = false;
  #keepsAlive = true;
  /** How long the server keeps it idle, less a second for what is under way already. */
  #serverKeepsMs = Number.POSITIVE_INFINITY;
  #reusableUntilMs = Number.POSITIVE_INFINITY;
  #interimCount = 0;
  #awaitsContinue = false;
  /** Bytes that may still come of an answer that nobody wants. */
  #discardLeft = 0;

  constructor(connections: EndpointConnections) {
    this.#connections = connections;
    this.#deadline = new Deadline(connections.pool.wheel, this);
    this.socket = openUpstreamSocket(connections.pool.buffers, this, connections);
  }

  /** The server is about to close it, by its own word; the wheel may be late to notice. */
  get isExpired(): boolean {
    return this.#reusableUntilMs !== Number.POSITIVE_INFINITY && performance.now() >= this.#reusableUntilMs;
  }

  get isConnected(): boolean {
    return this.#phase !== Phase.Connecting && this.#phase !== Phase.Closed;
  }

  /**
   * Hands the connection to an exchange. The request may be written once it is connected.
   *
   * @param asksForWebsocket the request does, so that 101 is an answer to it
   */
  begin(receiver: ResponseReceiver, isHeadRequest: boolean, asksForWebsocket: boolean): void {
    this.#receiver = receiver;
    this.#isHeadRequest = isHeadRequest;
    this.#asksForWebsocket = asksForWebsocket;
    this.#isRequestSent = false;
    this.#interimCount = 0;
    this.#awaitsContinue = false;
    this.hasAnswerBytes = false;
    this.decodesChunks = false;
    if (this.#phase === Phase.Idle) this.#phase = Phase.Head;
  }

  /** The whole request was written: until then the connection cannot be used again, whatever is answered. */
  requestSent(): void {
    this.#isRequestSent = true;
  }

  /** The attempt is lost when nothing happens for so long. */
  expectWithin(delayMs: number): void {
    this.#awaitsContinue = false;
    this.#deadline.set(delayMs);
  }

  /** While the exchange waits for its client, the server is not to blame. */
  expectNothing(): void {
    this.#awaitsContinue = false;
    this.#deadline.clear();
  }

  /** The server may ask for the body within so long; the attempt is not lost when it does not. */
  awaitContinue(delayMs: number): void {
    this.#awaitsContinue = true;
    this.#deadline.set(delayMs);
  }

  /** The receiver does not want the answer whose head it was just told: the connection sees to the rest of it. */
  discardAnswer(): void {
    this.#receiver = nobody;
    this.#discardLeft = discardMaxBytes;
    this.expectWithin(discardMaxMs);
  }

  /** The attempt is lost, in the receiver's own opinion. */
  giveUp(loss: UpstreamLoss): void {
    this.#lose(loss, loss);
  }

  /** The receiver gives up: nothing more is told, the server sees the connection close. */
  abandon(): void {
    this.#receiver = null;
    this.close();
  }

  /** At once out of the pool: between this and the socket's own close a request could still be given it. */
  close(): void {
    if (this.#phase === Phase.Closed) return;
    this.#phase = Phase.Closed;
    this.#deadline.release();
    this.#connections.closed(this);
    this.socket.destroy();
  }

  onConnected(): void {
    if (this.#phase !== Phase.Connecting) return;
    this.#phase = Phase.Head;
    this.#deadline.clear();
    this.#receiver?.onUpstreamConnected();
  }

  onBytes(from: ReadBuffer, length: number): void {
    if (this.#phase === Phase.Body) {
      if (this.#receiver === nobody) {
        this.#discardLeft -= length;
        if (this.#discardLeft < 0) {
          this.close();
          return;
        }
      }
      this.#readBody(from, 0, length);
      return;
    }
    if (this.#phase === Phase.Head) {
      this.hasAnswerBytes = true;
      this.#readHead(from, length);
      return;
    }
    // An answer that nobody asked for would be taken for the next request's: never keep such a connection.
    if (this.#phase !== Phase.Closed) this.close();
  }

  #readHead(from: ReadBuffer, length: number): void {
    let source = from;
    let at = 0;
    let end = length;
    const partial = this.#partial;
    if (partial.length > 0) {
      const isWorthParsing = partial.add(from.bytes, 0, length);
      // A head without a line end that has become too large is parsed once more: to say so.
      if (!isWorthParsing && partial.length <= headWaitMaxBytes) return;
      source = new ReadBuffer(partial.bytes, false);
      at = partial.start;
      end = partial.end;
    }
    while (at < end) {
      const headEnd = head.parse(source.bytes, at, end, this.#isHeadRequest);
      if (headEnd < 0) {
        this.#lose("bad_response", headProblem(headEnd).name);
        return;
      }
      if (headEnd === 0) break;
      at = headEnd;
      head.takeText(source.bytes);
      if (head.status === 101) {
        if (this.#asksForWebsocket && head.switchesToWebsocket) this.#upgrade(source, at, end);
        else this.#lose("bad_response", headProblem(-Problem.UnaskedUpgrade).name);
        return;
      }
      if (head.status >= 200) {
        this.#answer(source, at, end);
        return;
      }
      if (++this.#interimCount > interimMaxCount) {
        this.#lose("bad_response", "interim_answers");
        return;
      }
      this.#receiver!.onInterimHead(head);
      // Telling may end the exchange, as below.
      if (this.#phase !== Phase.Head) return;
    }
    this.#keepPartial(source, at, end);
  }

  /** Keeps what is not yet a whole head, copied once. */
  #keepPartial(source: ReadBuffer, start: number, end: number): void {
    if (source.bytes === this.#partial.bytes) this.#partial.useTo(start);
    else if (start < end) this.#partial.add(source.bytes, start, end);
  }

  /** From here on this connection hears only that its socket is closed. */
  #upgrade(source: ReadBuffer, start: number, end: number): void {
    const receiver = this.#receiver!;
    this.#receiver = null;
    this.#partial.clear();
    this.#phase = Phase.Tunnel;
    this.#deadline.clear();
    receiver.onUpgrade(head, source, start, end);
  }

  #answer(source: ReadBuffer, bodyStart: number, end: number): void {
    this.#partial.clear();
    this.#phase = Phase.Body;
    const body = this.#body;
    body.start(head.framing, head.contentLength);
    this.#keepsAlive = head.keepsAlive && head.framing !== Framing.UntilClose;
    const { keepAliveSeconds } = head;
    this.#serverKeepsMs = keepAliveSeconds < 0 ? Number.POSITIVE_INFINITY : keepAliveSeconds * 1_000 - closingMarginMs;
    this.#receiver!.onResponseHead(head, source.bytes);
    if (head.framing === Framing.Chunked) body.startChunks(this.decodesChunks, head.fields.nominated);
    if (this.#isInBody()) this.#readBody(source, bodyStart, end);
    if (this.#isInBody()) this.#receiver!.onResponseFlush();
  }

  /** A call to the receiver may have ended the exchange. */
  #isInBody(): boolean {
    return this.#phase === Phase.Body;
  }

  #readBody(from: ReadBuffer, start: number, end: number): void {
    const receiver = this.#receiver!;
    const body = this.#body;
    let at = start;
    while (at < end && !body.isDone) {
      at = body.read(from.bytes, at, end);
      if (at < 0) {
        this.#lose("bad_response", headProblem(at).name);
        return;
      }
      this.socket.readsLargeBody = body.isLarge;
      const trailers = body.takeTrailers();
      if (trailers !== "") receiver.onResponseTrailers(trailers);
      if (body.forwardEnd > body.forwardStart) receiver.onResponseBytes(from, body.forwardStart, body.forwardEnd);
      // Telling bytes may end the exchange (a client that is gone): then there is nothing to finish.
      if (!this.#isInBody()) return;
    }
    if (body.isDone) this.#finish(at === end);
  }

  /** @param isExact no byte follows the message; what would follow belongs to no request */
  #finish(isExact: boolean): void {
    const receiver = this.#receiver!;
    this.#receiver = null;
    this.socket.readsLargeBody = false;
    if (this.#keepsAlive && isExact && this.#isRequestSent && this.#serverKeepsMs > 0) {
      this.#phase = Phase.Idle;
      this.isReused = true;
      const hasHint = this.#serverKeepsMs !== Number.POSITIVE_INFINITY;
      this.#reusableUntilMs = hasHint ? performance.now() + this.#serverKeepsMs : Number.POSITIVE_INFINITY;
      this.#deadline.set(Math.min(this.#connections.pool.idleTimeoutMs, this.#serverKeepsMs));
      this.#connections.keep(this);
    } else this.close();
    receiver.onResponseEnd();
  }

  onEnd(): void {
    if (this.#phase === Phase.Body && this.#body.framing === Framing.UntilClose) {
      this.#finish(false);
      return;
    }
    // In the midst of a handshake: the socket closes with an error that says so.
    if (this.#phase === Phase.Connecting) return;
    this.#lose("closed", "closed by the server");
  }

  onDrain(): void {
    this.#receiver?.onUpstreamDrain();
  }

  /** Never awaited: our side of the connection is not ended, it is closed. */
  onFlushed(): void {}

  onClosed(error: NodeJS.ErrnoException | null): void {
    const isConnecting = this.#phase === Phase.Connecting;
    const isSecure = this.#connections.link !== null;
    this.#lose(isConnecting ? connectLoss(error, isSecure) : "closed", lossDetail(error));
  }

  onDeadline(): void {
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false;
      this.#receiver?.onContinueTimeout();
    } else if (this.#phase === Phase.Idle) this.close();
    else this.#lose(this.#phase === Phase.Connecting ? "connect_timeout" : "timeout", "timed out");
  }

  onDefect(error: unknown): void {
    this.#lose("defect", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  #lose(loss: UpstreamLoss, detail: string): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    this.close();
    receiver?.onUpstreamLost(loss, detail);
  }
}

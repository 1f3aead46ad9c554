import { Framing } from "../http1/body-framing.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import { eventTimeMs } from "../socket/event-time.ts";
import type { ReadBuffer } from "../socket/read-buffer.ts";
import { awaitServer, requestWritten } from "./attempt.ts";
import { attemptsLine, withAttempts } from "./attempts-header.ts";
import type { Exchange } from "./exchange.ts";
import { answerHead } from "./forward-head.ts";
import { affinityLine } from "./hash-input.ts";
import { Counter } from "./proxy-counters.ts";
import { recordExchange } from "./record-exchange.ts";
import { bodyCameUnasked, sendHeadOfHeldBody } from "./relay-interim.ts";

/**
 * Up to this size a body is written as text, in one write with its head. Longer ones are written as a view of the memory
 * that they were read into, or of one copy: a text of 4 KiB is copied three times until it is sent (bench W3: 2 %).
 */
const textMaxBytes = 1_024;

/** A piece of the request body, in its framing. */
export function relayRequestBytes(exchange: Exchange, from: ReadBuffer, start: number, end: number): void {
  const connection = exchange.connection;
  exchange.bytesIn += end - start;
  // After an answer of our own the rest of the body is only read to find the next request.
  if (connection === null) return;
  if (exchange.expectsContinue) bodyCameUnasked(exchange);
  const head = exchange.unsentHead;
  exchange.unsentHead = "";
  const isKept = keeps(exchange, end - start);
  let goesOn: boolean;
  if (isKept || end - start <= textMaxBytes) {
    const body = from.bytes.toString("latin1", start, end);
    if (isKept) exchange.keptBody.add(body);
    goesOn = connection.socket.writeText(head === "" ? body : head + body);
  } else goesOn = connection.socket.writeBytes(head, from, start, end);
  if (!goesOn) {
    exchange.client.pauseBody();
    awaitServer(exchange, connection);
  }
}

/** Whether so much more of the body is kept. Where memory is short a request goes on, but cannot be sent again. */
function keeps({ keptBody, engine }: Exchange, byteCount: number): boolean {
  if (engine.shedder.memoryRatio > 0) keptBody.drop();
  return keptBody.takes(byteCount);
}

/** Trailer fields of the request, which go before the bytes that end its body: those follow at once. */
export function relayRequestTrailers(exchange: Exchange, lines: string): void {
  const { connection } = exchange;
  if (connection === null) return;
  if (keeps(exchange, lines.length)) exchange.keptBody.add(lines);
  connection.socket.writeText(lines);
}

/** The request body is complete. */
export function relayRequestEnd(exchange: Exchange): void {
  exchange.isBodyComplete = true;
  const connection = exchange.connection;
  if (connection === null) return;
  flushRequestHead(exchange);
  requestWritten(exchange, connection, eventTimeMs());
}

/** No body arrived together with the head: the head goes alone. */
export function flushRequestHead(exchange: Exchange): void {
  const { connection, unsentHead } = exchange;
  if (unsentHead === "" || connection === null) return;
  exchange.unsentHead = "";
  if (exchange.expectsContinue && !exchange.isBodyComplete) sendHeadOfHeldBody(exchange, unsentHead);
  else connection.socket.writeText(unsentHead);
}

/** The server has taken what it was sent: the body flows on. */
export function upstreamDrained(exchange: Exchange): void {
  if (exchange.isBodyComplete) return;
  exchange.connection!.expectNothing();
  exchange.client.resumeBody();
}

export function relayAnswerHead(exchange: Exchange, head: ResponseHead, nowMs: number): void {
  const { engine } = exchange;
  exchange.isAnswered = true;
  exchange.status = head.status;
  exchange.answerLatencyMs = nowMs - exchange.sentAtMs;
  exchange.upstreamLatencyMs = Math.round(exchange.answerLatencyMs);
  exchange.proxyLatencyMs = Math.round(exchange.sentAtMs - exchange.startedAtMs);
  frameAnswer(exchange, head);
  // Whoever passes on an answer without a Date has to say when it came (RFC 9110 section 6.6.1).
  if (!head.hasDate) exchange.framingLine += engine.date.lineAt(nowMs);
  // A body that was never asked for may come all the same, or not: the next request could not be told from it.
  exchange.closes = !exchange.clientKeepsAlive || engine.isDraining || exchange.endsByClose || exchange.expectsContinue;
  if (exchange.pool!.hasAffinity) exchange.cookieLine = affinityLine(exchange);
  const text = answerHead(head, exchange);
  exchange.unsentAnswerHead = exchange.tellsAttempts
    ? withAttempts(text, attemptsLine(exchange.logged!, "", nowMs))
    : text;
  exchange.bytesOut += exchange.unsentAnswerHead.length;
  engine.counters.add(Counter.responses_1xx + Math.trunc(head.status / 100) - 1);
}

/** How this client is told where the answer's body ends. */
function frameAnswer(exchange: Exchange, head: ResponseHead): void {
  const takesChunks = exchange.minorVersion === 1;
  exchange.framingLine = "";
  exchange.passesTrailers = takesChunks && head.framing === Framing.Chunked;
  if (head.framing === Framing.Chunked || head.framing === Framing.UntilClose) {
    if (takesChunks) exchange.framingLine = "Transfer-Encoding: chunked\r\n";
    exchange.endsByClose = !takesChunks;
    exchange.wrapsInChunks = takesChunks && head.framing === Framing.UntilClose;
    exchange.connection!.decodesChunks = !takesChunks;
  } else if (head.contentLength >= 0 && head.status !== 204) {
    exchange.framingLine = `Content-Length: ${head.contentLength}\r\n`;
  }
}

export function relayAnswerBytes(exchange: Exchange, from: ReadBuffer, start: number, end: number): void {
  const { client } = exchange;
  const connection = exchange.connection!;
  let before = exchange.unsentAnswerHead;
  exchange.unsentAnswerHead = "";
  if (exchange.wrapsInChunks) {
    const size = `${(end - start).toString(16)}\r\n`;
    before += size;
    exchange.bytesOut += size.length + 2;
  }
  const after = exchange.wrapsInChunks ? "\r\n" : "";
  exchange.bytesOut += end - start;
  let goesOn: boolean;
  if (end - start <= textMaxBytes) {
    goesOn = client.socket.writeText(before + from.bytes.toString("latin1", start, end) + after);
  } else {
    goesOn = client.socket.writeBytes(before, from, start, end);
    if (after !== "") goesOn = client.socket.writeText(after);
  }
  if (goesOn) {
    awaitServer(exchange, connection);
    return;
  }
  // A client that reads slowly must not fill our memory: the server is not read until it has taken this.
  exchange.isReadPaused = true;
  connection.socket.pause();
  connection.expectNothing();
  client.awaitDrain();
}

/** Trailer fields of an answer, which go before the bytes that end its body: those follow at once. */
export function relayAnswerTrailers(exchange: Exchange, lines: string): void {
  exchange.bytesOut += lines.length;
  exchange.client.socket.writeText(lines);
}

/** The body has not begun to arrive: the head goes alone. */
export function flushAnswerHead(exchange: Exchange): void {
  if (exchange.unsentAnswerHead === "") return;
  exchange.client.socket.writeText(exchange.unsentAnswerHead);
  exchange.unsentAnswerHead = "";
  awaitServer(exchange, exchange.connection!);
}

/** The client has taken what it was sent: the answer flows on. */
export function clientDrained(exchange: Exchange): void {
  const connection = exchange.connection;
  if (connection === null || !exchange.isReadPaused) return;
  exchange.isReadPaused = false;
  awaitServer(exchange, connection);
  connection.socket.resume();
}

export function relayAnswerEnd(exchange: Exchange): void {
  const { client, connection } = exchange;
  // The next exchange may take this connection from the pool: it must not find it paused.
  if (exchange.isReadPaused) connection!.socket.resume();
  const last = exchange.wrapsInChunks ? "0\r\n\r\n" : "";
  const end = exchange.unsentAnswerHead + last;
  exchange.bytesOut += last.length;
  exchange.unsentAnswerHead = "";
  if (end !== "") client.socket.writeText(end);
  recordExchange(exchange);
  exchange.finish();
  client.answered(!exchange.closes && exchange.isBodyComplete);
}

import type { ResponseHead } from "../http1/response-head.ts";
import type { ReadBuffer } from "../socket/read-buffer.ts";
import { attemptsLine, withAttempts } from "./attempts-header.ts";
import type { Exchange } from "./exchange.ts";
import { answerHead } from "./forward-head.ts";
import { affinityLine } from "./hash-input.ts";
import { Counter } from "./proxy-counters.ts";
import { recordExchange } from "./record-exchange.ts";
import { Tunnel } from "./tunnel.ts";

/**
 * The server has agreed to speak websocket: the client is told so, and the exchange turns into a tunnel.
 *
 * Source: RFC 9110 section 7.8, RFC 6455 section 4.
 * @param at after the head in `from`: what the server sent behind it, up to `end`, is websocket already
 */
export function relayUpgrade(exchange: Exchange, head: ResponseHead, from: ReadBuffer, at: number, end: number): void {
  const { engine, client } = exchange;
  const connection = exchange.connection!;
  const { admission } = exchange;
  const busy = { poolRow: exchange.pool!.config.poolRow, endpointRow: exchange.endpoint!.row, admission };
  // The tunnel's from here on: nobody else is to be let in between.
  exchange.admission = null;
  exchange.inFlightRow = -1;
  exchange.isAnswered = true;
  exchange.status = head.status;
  exchange.answerLatencyMs = performance.now() - exchange.sentAtMs;
  exchange.upstreamLatencyMs = Math.round(exchange.answerLatencyMs);
  exchange.proxyLatencyMs = Math.round(exchange.sentAtMs - exchange.startedAtMs);
  exchange.framingLine = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  exchange.passesTrailers = false;
  exchange.closes = false;
  if (exchange.pool!.hasAffinity) exchange.cookieLine = affinityLine(exchange);
  const text = answerHead(head, exchange);
  const answer = exchange.tellsAttempts
    ? withAttempts(text, attemptsLine(exchange.logged!, "", performance.now()))
    : text;
  exchange.bytesOut += answer.length;
  client.socket.writeText(answer);
  engine.counters.add(Counter.responses_1xx);
  recordExchange(exchange);
  exchange.finish();
  const server = { socket: connection.socket, connection, early: from, earlyStart: at, earlyEnd: end, hasEnded: false };
  Tunnel.open(engine, busy, client.becomeTunnelSide(), server);
}

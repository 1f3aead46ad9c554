import type { ResponseHead } from "../http1/response-head.ts";
import { continueResponse } from "./error-response.ts";
import type { Exchange } from "./exchange.ts";
import { interimHead, withExpectation } from "./forward-head.ts";
import { Counter } from "./proxy-counters.ts";

/**
 * Sends the head of a request whose client holds the body back until it is asked for it (100 Continue). The
 * server is told so, and may ask, or refuse before the body has travelled. Many servers know nothing of it:
 * when no word comes we ask ourselves.
 *
 * Source: RFC 9110 section 10.1.1.
 */
export function sendHeadOfHeldBody(exchange: Exchange, head: string): void {
  exchange.connection!.socket.writeText(withExpectation(head));
  exchange.connection!.awaitContinue(exchange.engine.limits.continueTimeoutMs);
}

/** The server said nothing about the body that its client holds back. */
export function continueUnasked(exchange: Exchange): void {
  if (!exchange.expectsContinue || exchange.isAnswered) return;
  exchange.expectsContinue = false;
  exchange.client.socket.writeText(continueResponse);
}

/** The client did not wait to be asked (it need not): from here on its body is like any other. */
export function bodyCameUnasked(exchange: Exchange): void {
  exchange.expectsContinue = false;
  exchange.connection?.expectNothing();
}

/** An interim answer: passed on to whoever can understand it. How many there may be is bounded where they are read. */
export function relayInterimAnswer(exchange: Exchange, head: ResponseHead): void {
  const connection = exchange.connection!;
  if (head.status === 100) {
    // Unasked, or the body is on its way already: a client that does not wait for it might take it for something else.
    if (!exchange.expectsContinue) return;
    exchange.expectsContinue = false;
    connection.expectNothing();
  } else if (exchange.isBodyComplete) {
    // The server is still at work, and says so.
    connection.expectWithin(exchange.service!.readTimeoutMs);
  }
  // HTTP/1.0 knows no interim answers (RFC 9110 section 15.2).
  if (exchange.minorVersion === 0) return;
  const text = interimHead(head);
  exchange.bytesOut += text.length;
  exchange.client.socket.writeText(text);
  exchange.engine.counters.add(Counter.responses_1xx);
}

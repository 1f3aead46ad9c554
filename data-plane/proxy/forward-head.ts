import { Framing } from "../http1/body-framing.ts";
import { Field } from "../http1/field-kind.ts";
import type { FieldLines } from "../http1/field-lines.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import {
  keptLines,
  requestForwards,
  requestForwardsUnchunked,
  responseForwards,
  responseForwardsUnchunked,
} from "../http1/write-head.ts";
import type { OriginClaims } from "./origin-claims.ts";
import { flat, linesBeforePath, type RepeatedLines } from "./repeated-lines.ts";

/** What the forwarded fields say about where a request came from. */
export interface ForwardFacts {
  /** Who is connected. */
  readonly remoteAddress: string;
  /** Who made the request: the same, unless a trusted proxy says otherwise. */
  readonly clientAddress: string;
  /** What a trusted proxy says; null when nobody is trusted, or not the peer. */
  readonly claims: OriginClaims | null;
  readonly scheme: "http" | "https";
  /** Lower case, without port; "" when the client sent none. */
  readonly host: string;
  /** The port that the client reached us on. */
  readonly localPort: number;
  /** Path as sent, without query. */
  readonly rawPath: string;
  /** What strip_path took off; "" for nothing. */
  readonly strippedPrefix: string;
  readonly requestId: string;
  /** What a client proved of itself to us, as header lines; "" for nothing. */
  readonly certificateLines: string;
  readonly repeated: RepeatedLines;
}

/**
 * A request's fields as the upstream gets them, with the empty line: what came, without what concerned only
 * this hop, then ours. Start line and Host are put before it for each attempt, since they depend on the endpoint.
 */
export function forwardedFields(head: RequestHead, bytes: Buffer, facts: ForwardFacts): string {
  const { fields } = head;
  const forwards = head.framing === Framing.Chunked ? requestForwards : requestForwardsUnchunked;
  return (
    framingLine(head) +
    keptLines(fields, head.fieldsStart, head.fieldsStart, forwards) +
    hopLines(head) +
    originLines(head, bytes, facts) +
    facts.requestId +
    (facts.certificateLines === "" ? "" : `\r\n${facts.certificateLines.slice(0, -2)}`) +
    (head.minorVersion === 1 ? "\r\nVia: 1.1 penstock\r\n\r\n" : "\r\nVia: 1.0 penstock\r\n\r\n")
  );
}

/** Where the request comes from, up to the request id's name. */
function originLines({ fields }: RequestHead, bytes: Buffer, facts: ForwardFacts): string {
  const before = forwardedFor(fields, bytes);
  if (facts.claims !== null) {
    return (
      `X-Forwarded-For: ${before}${facts.remoteAddress}\r\nX-Forwarded-Proto: ${facts.scheme}\r\n` +
      claimedOriginLines(facts, facts.claims) +
      `X-Real-IP: ${facts.clientAddress}\r\nX-Kong-Request-Id: `
    );
  }
  const { repeated, strippedPrefix } = facts;
  const lines = (before === "" ? repeated.beforePath : linesBeforePath(facts, facts.host, before)) + facts.rawPath;
  return strippedPrefix === ""
    ? lines + repeated.beforeId
    : `${lines}\r\nX-Forwarded-Prefix: ${strippedPrefix}${repeated.beforeId}`;
}

/** The same with the word of a trusted proxy, which knows the client's request better, before what we see. */
function claimedOriginLines(facts: ForwardFacts, claims: OriginClaims): string {
  const host = claims.host || facts.host;
  const prefix = claims.prefix || facts.strippedPrefix;
  const { remoteAddress } = facts;
  const hop = remoteAddress.includes(":") ? `"[${remoteAddress}]"` : remoteAddress;
  return (
    (host === "" ? "" : `X-Forwarded-Host: ${host}\r\n`) +
    `X-Forwarded-Port: ${claims.port || facts.localPort}\r\nX-Forwarded-Path: ${claims.path || facts.rawPath}\r\n` +
    (prefix === "" ? "" : `X-Forwarded-Prefix: ${prefix}\r\n`) +
    (claims.forwarded === "" ? "" : `Forwarded: ${claims.forwarded}, for=${hop}\r\n`)
  );
}

/** What concerns only the next hop, which has to be said with it (RFC 9110 sections 7.8 and 10.1.4). */
function hopLines(head: RequestHead): string {
  if (head.asksForWebsocket) return "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  return head.hasTrailersOption ? "TE: trailers\r\nConnection: TE\r\n" : "";
}

/** The one spelling of how the body ends; nothing where the client sent nothing. */
function framingLine(head: RequestHead): string {
  if (head.framing === Framing.Chunked) return "Transfer-Encoding: chunked\r\n";
  return head.hasLength ? `Content-Length: ${head.contentLength}\r\n` : "";
}

/** What the client said about those before it, ready to be appended to. */
function forwardedFor(fields: FieldLines, bytes: Buffer): string {
  let text = "";
  for (let index = 0; index < fields.count; index++) {
    if (fields.kind[index] !== Field.XForwardedFor) continue;
    if (fields.valueEnd[index]! > fields.valueStart[index]!) text += `${fields.valueAt(index, bytes)}, `;
  }
  return text;
}

/** An interim answer as the client gets it: its fields, without what concerned only the hop before. */
export function interimHead(head: ResponseHead): string {
  const lines = keptLines(head.fields, head.statusStart, head.fieldsStart, responseForwardsUnchunked);
  return `HTTP/1.1 ${lines}\r\n`;
}

/** The same head for a body that is held back until the server asks for it. */
export function withExpectation(requestHead: string): string {
  return `${requestHead.slice(0, -2)}Expect: 100-continue\r\n\r\n`;
}

/** What we add to an answer that passes through. */
export interface AnswerFacts {
  /** Header line that frames the body for this client, and Date where the server sent none, with CRLF; "" for neither. */
  readonly framingLine: string;
  /** Header line with a cookie of ours, with CRLF; "" for none. Those of the server stand before it. */
  readonly cookieLine: string;
  /** The body goes on in its chunks, and its trailers with it. */
  readonly passesTrailers: boolean;
  readonly upstreamLatencyMs: number;
  readonly proxyLatencyMs: number;
  readonly requestId: string;
  readonly closes: boolean;
}

/** An answer's head as the client gets it: always HTTP/1.1, with the upstream's reason and fields, then ours. */
export function answerHead(head: ResponseHead, facts: AnswerFacts): string {
  const forwards = facts.passesTrailers ? responseForwards : responseForwardsUnchunked;
  const isOld = head.minorVersion === 0;
  // The version is the server's word about itself, and the answer's is ours.
  const came = keptLines(head.fields, isOld ? head.statusStart : head.start, head.fieldsStart, forwards);
  return (
    (isOld ? `HTTP/1.1 ${came}` : came) +
    facts.framingLine +
    facts.cookieLine +
    (isOld ? "Via: 1.0 penstock\r\n" : "Via: 1.1 penstock\r\n") +
    upstreamLatencyLines.at(facts.upstreamLatencyMs) +
    proxyLatencyLines.at(facts.proxyLatencyMs) +
    facts.requestId +
    (facts.closes ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n")
  );
}

/** A header line for each whole number of milliseconds: most of them are small, and said again and again. */
class LatencyLines {
  readonly #before: string;
  readonly #after: string;
  readonly #lines: string[] = [];

  constructor(before: string, after: string) {
    this.#before = before;
    this.#after = after;
    for (let ms = 0; ms < 256; ms++) this.#lines.push(flat(this.#line(ms)));
  }

  at(ms: number): string {
    return this.#lines[ms] ?? this.#line(ms);
  }

  #line(ms: number): string {
    return `${this.#before}${ms}${this.#after}`;
  }
}
const upstreamLatencyLines = new LatencyLines("X-Kong-Upstream-Latency: ", "\r\n");
const proxyLatencyLines = new LatencyLines("X-Kong-Proxy-Latency: ", "\r\nX-Kong-Request-Id: ");

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Framing } from "./body-framing.ts";
import { headProblem } from "./head-problem.ts";
import { RequestHead } from "./request-head.ts";

const start = "GET / HTTP/1.1\r\n";
const host = "Host: a.test\r\n";
const post = `POST /x HTTP/1.1\r\n${host}`;
const nominations = (count: number) => Array.from({ length: count }, (_, i) => `x${i}`).join(", ");

function parse(text: string): { result: number; head: RequestHead; bytes: Buffer } {
  const bytes = Buffer.from(text, "latin1");
  const head = new RequestHead();
  return { result: head.parse(bytes, 0, bytes.length), head, bytes };
}

function problemOf(text: string): string {
  const { result } = parse(text);
  if (result === 0) return "incomplete";
  return result > 0 ? "accepted" : headProblem(result).name;
}

/** What a reader of this head would go by. */
function facts(head: RequestHead, bytes: Buffer): unknown {
  return {
    method: head.method.name,
    target: bytes.toString("latin1", head.targetStart, head.targetEnd),
    authority: bytes.toString("latin1", head.hostStart, head.authorityEnd),
    hostName: bytes.toString("latin1", head.hostStart, head.hostNameEnd),
    minorVersion: head.minorVersion,
    framing: head.framing,
    contentLength: head.contentLength,
    keepsAlive: head.keepsAlive,
    expectsContinue: head.expectsContinue,
    asksForWebsocket: head.asksForWebsocket,
    fields: Array.from({ length: head.fields.count }, (_, index) => [
      bytes.toString("latin1", head.fields.nameStart[index], head.fields.nameEnd[index]),
      head.fields.valueAt(index, bytes),
      head.fields.kindAt(index),
    ]),
  };
}

const malformed: [name: string, text: string, problem: string][] = [
  // The request line.
  ["no method", " / HTTP/1.1\r\n\r\n", "method"],
  ["a control as method", "\x01 / HTTP/1.1\r\n\r\n", "method"],
  ["a TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "method"],
  ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unknown_method"],
  ["a lower-case method", "get / HTTP/1.1\r\n\r\n", "unknown_method"],
  ["an unknown method", "BREW / HTTP/1.1\r\n\r\n", "unknown_method"],
  ["an endless method", "A".repeat(64), "unknown_method"],
  ["a tab after the method", `GET\t/ HTTP/1.1\r\n${host}\r\n`, "method"],
  ["two spaces after the method", `GET  / HTTP/1.1\r\n${host}\r\n`, "target"],
  ["two spaces before the version", `GET /  HTTP/1.1\r\n${host}\r\n`, "version"],
  ["a tab before the version", `GET /\tHTTP/1.1\r\n${host}\r\n`, "target"],
  ["a space after the version", `GET / HTTP/1.1 \r\n${host}\r\n`, "line_end"],
  ["no version (0.9)", "GET /\r\n\r\n", "target"],
  ["version 0.9", `GET / HTTP/0.9\r\n${host}\r\n`, "unsupported_version"],
  ["version 1.2", `GET / HTTP/1.2\r\n${host}\r\n`, "unsupported_version"],
  ["version 2.0", `GET / HTTP/2.0\r\n${host}\r\n`, "unsupported_version"],
  ["version 1.10", `GET / HTTP/1.10\r\n${host}\r\n`, "line_end"],
  ["a lower-case version", `GET / http/1.1\r\n${host}\r\n`, "version"],
  ["another protocol", `GET / ICAP/1.0\r\n${host}\r\n`, "version"],
  ["a version without number", `GET / HTTP/1.x\r\n${host}\r\n`, "version"],
  ["a bare LF after the version", `GET / HTTP/1.1\n${host}\r\n`, "line_end"],
  ["a bare CR after the version", `GET / HTTP/1.1\r${host}\r\n`, "line_end"],
  ["a fragment", `GET /a#b HTTP/1.1\r\n${host}\r\n`, "target"],
  ["a raw byte above 0x7f in the target", `GET /\xe4 HTTP/1.1\r\n${host}\r\n`, "target"],
  ["a NUL in the target", `GET /\0 HTTP/1.1\r\n${host}\r\n`, "target"],
  ["a relative target", `GET a/b HTTP/1.1\r\n${host}\r\n`, "target"],
  ["a long target", `GET /${"a".repeat(8_192)} HTTP/1.1\r\n${host}\r\n`, "target_too_long"],
  ["https in absolute-form", `GET https://a.test/ HTTP/1.1\r\n${host}\r\n`, "misdirected"],
  ["https without its slashes", `GET https:a.test/ HTTP/1.1\r\n${host}\r\n`, "target"],
  ["absolute-form without host", `GET http:///x HTTP/1.1\r\n${host}\r\n`, "host_invalid"],
  ["user info", `GET http://u:p@a.test/ HTTP/1.1\r\n${host}\r\n`, "host_invalid"],
  ["asterisk-form", `OPTIONS * HTTP/1.1\r\n${host}\r\n`, "asterisk_form"],
  ["CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "tunnel_method"],
  ["TRACE", `TRACE / HTTP/1.1\r\n${host}\r\n`, "trace_method"],
  ["LF LF before the request", `\n\n${start}${host}\r\n`, "method"],
  ["CR without LF before the request", `\rGET / HTTP/1.1\r\n${host}\r\n`, "line_end"],
  // Field lines.
  ["an obs-fold", `${start}${host}X: a\r\n b\r\n\r\n`, "folded_line"],
  ["a tab-led obs-fold", `${start}${host}X: a\r\n\tb\r\n\r\n`, "folded_line"],
  ["white space before the first field", `${start} ${host}\r\n`, "folded_line"],
  ["a space before the colon", `${start}Host : a.test\r\n\r\n`, "field_name"],
  ["a tab before the colon", `${start}Host\t: a.test\r\n\r\n`, "field_name"],
  ["an empty name", `${start}${host}: x\r\n\r\n`, "field_name"],
  ["no colon", `${start}${host}X\r\n\r\n`, "field_name"],
  ["a name that is no token", `${start}${host}X(y): z\r\n\r\n`, "field_name"],
  ["a NUL in a name", `${start}${host}X\0: z\r\n\r\n`, "field_name"],
  ["a byte above 0x7f in a name", `${start}${host}X\xff: z\r\n\r\n`, "field_name"],
  ["a NUL in a value", `${start}${host}X: a\0b\r\n\r\n`, "field_value"],
  ["a control in a value", `${start}${host}X: a\x07b\r\n\r\n`, "field_value"],
  ["a DEL in a value", `${start}${host}X: a\x7fb\r\n\r\n`, "field_value"],
  ["a bare CR in a value", `${start}${host}X: a\rb: c\r\n\r\n`, "line_end"],
  ["a bare LF after a value", `${start}${host}X: a\nY: b\r\n\r\n`, "line_end"],
  ["a bare LF at the end", `${start}${host}\n`, "line_end"],
  ["CR CR LF", `${start}${host}X: a\r\r\n\r\n`, "line_end"],
  ["too many fields", `${start}${host}${"X: y\r\n".repeat(100)}\r\n`, "too_many_fields"],
  ["too many bytes", `${start}${host}X: ${"y".repeat(40_000)}\r\n\r\n`, "head_too_large"],
  // Host.
  ["no Host", `${start}\r\n`, "host_missing"],
  ["two Hosts", `${start}${host}${host}\r\n`, "host_duplicate"],
  ["an empty Host", `${start}Host: \r\n\r\n`, "host_invalid"],
  ["a list of Hosts", `${start}Host: a.test, b.test\r\n\r\n`, "host_invalid"],
  ["an at-sign in Host", `${start}Host: u@a.test\r\n\r\n`, "host_invalid"],
  ["a slash in Host", `${start}Host: a.test/x\r\n\r\n`, "host_invalid"],
  ["a space in Host", `${start}Host: a test\r\n\r\n`, "host_invalid"],
  ["an escape in Host", `${start}Host: a%2etest\r\n\r\n`, "host_invalid"],
  ["a port of letters", `${start}Host: a.test:http\r\n\r\n`, "host_invalid"],
  ["a port too large", `${start}Host: a.test:65536\r\n\r\n`, "host_invalid"],
  ["an empty port", `${start}Host: a.test:\r\n\r\n`, "host_invalid"],
  ["an open bracket", `${start}Host: [::1\r\n\r\n`, "host_invalid"],
  ["brackets around nothing", `${start}Host: []\r\n\r\n`, "host_invalid"],
  // Framing.
  ["a signed length", `${post}Content-Length: +3\r\n\r\n`, "content_length"],
  ["a negative length", `${post}Content-Length: -1\r\n\r\n`, "content_length"],
  ["a hexadecimal length", `${post}Content-Length: 0x3\r\n\r\n`, "content_length"],
  ["a padded length", `${post}Content-Length: 003\r\n\r\n`, "content_length"],
  ["a list of lengths", `${post}Content-Length: 3, 3\r\n\r\n`, "content_length"],
  ["an empty length", `${post}Content-Length:\r\n\r\n`, "content_length"],
  ["an overlong length", `${post}Content-Length: 1234567890123456\r\n\r\n`, "content_length"],
  ["equal lengths twice", `${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\n`, "content_length_duplicate"],
  ["two lengths", `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`, "content_length_duplicate"],
  ["length and chunked", `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`, "length_and_encoding"],
  ["chunked and length 0", `${post}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n`, "length_and_encoding"],
  ["chunked on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "encoding_in_old_version"],
  ["gzip, chunked", `${post}Transfer-Encoding: gzip, chunked\r\n\r\n`, "transfer_encoding"],
  ["chunked, identity", `${post}Transfer-Encoding: chunked, identity\r\n\r\n`, "transfer_encoding"],
  ["chunked twice", `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, "transfer_encoding"],
  ["quoted chunked", `${post}Transfer-Encoding: "chunked"\r\n\r\n`, "transfer_encoding"],
  ["xchunked", `${post}Transfer-Encoding: xchunked\r\n\r\n`, "transfer_encoding"],
  ["chunked with a vertical tab", `${post}Transfer-Encoding: \x0bchunked\r\n\r\n`, "field_value"],
  ["an empty coding", `${post}Transfer-Encoding:\r\n\r\n`, "transfer_encoding"],
  ["identity", `${post}Transfer-Encoding: identity\r\n\r\n`, "transfer_encoding"],
  // Connection, Expect, Upgrade.
  ["Connection nominating Host", `${start}${host}Connection: host\r\n\r\n`, "connection_option"],
  ["Connection nominating Content-Length", `${post}Connection: close, Content-Length\r\n\r\n`, "connection_option"],
  ["Connection nominating framing", `${post}Connection: transfer-encoding\r\n\r\n`, "connection_option"],
  ["Connection nominating 33 fields", `${start}${host}Connection: ${nominations(33)}\r\n\r\n`, "connection_option"],
  ["33 in two lines", `${start}${host}Connection: ${nominations(32)}\r\nConnection: last\r\n\r\n`, "connection_option"],
  ["Connection that is no list of tokens", `${start}${host}Connection: a b\r\n\r\n`, "connection_option"],
  ["another expectation", `${post}Expect: 200-ok\r\n\r\n`, "expectation"],
];

const wellFormed: [name: string, text: string, want: Record<string, unknown>][] = [
  [
    "Connection nominating 32 fields, and those again",
    `${start}${host}Connection: close, ${nominations(32)}, ${nominations(32)}\r\nConnection:${" X0,".repeat(500)}\r\n\r\n`,
    { keepsAlive: false },
  ],
  ["a plain GET", `${start}${host}\r\n`, { method: "GET", target: "/", authority: "a.test", keepsAlive: true }],
  ["an empty line before", `\r\n${start}${host}\r\n`, { method: "GET" }],
  ["a query", `GET /a?b=c&d=/?x HTTP/1.1\r\n${host}\r\n`, { target: "/a?b=c&d=/?x" }],
  ["a lone question mark", `GET /? HTTP/1.1\r\n${host}\r\n`, { target: "/?" }],
  [
    "raw braces and bars, as browsers send them",
    `GET /a?x={"y|z"} HTTP/1.1\r\n${host}\r\n`,
    { target: '/a?x={"y|z"}' },
  ],
  ["the longest target", `GET /${"a".repeat(8_191)} HTTP/1.1\r\n${host}\r\n`, { method: "GET" }],
  ["a host with port", `${start}Host: a.test:8000\r\n\r\n`, { authority: "a.test:8000", hostName: "a.test" }],
  ["an IPv6 host", `${start}Host: [::1]:8000\r\n\r\n`, { authority: "[::1]:8000", hostName: "[::1]" }],
  ["an IPv4 host", `${start}Host: 127.0.0.1\r\n\r\n`, { authority: "127.0.0.1" }],
  ["an underscore in the host", `${start}Host: my_service\r\n\r\n`, { authority: "my_service" }],
  ["a host in capitals", `${start}Host: A.Test\r\n\r\n`, { authority: "A.Test" }],
  ["port 0", `${start}Host: a.test:0\r\n\r\n`, { hostName: "a.test" }],
  ["absolute-form", `GET http://b.test:81/x?y HTTP/1.1\r\n${host}\r\n`, { target: "/x?y", authority: "b.test:81" }],
  ["absolute-form in capitals", `GET HTTP://b.test/x HTTP/1.1\r\n${host}\r\n`, { authority: "b.test" }],
  ["absolute-form without path", `GET http://b.test HTTP/1.1\r\n${host}\r\n`, { target: "", authority: "b.test" }],
  ["absolute-form with a query alone", `GET http://b.test?x HTTP/1.1\r\n${host}\r\n`, { target: "?x" }],
  ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", { minorVersion: 0, authority: "", keepsAlive: false }],
  ["HTTP/1.0 with Host", `GET / HTTP/1.0\r\n${host}\r\n`, { minorVersion: 0, authority: "a.test" }],
  ["HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", { keepsAlive: false }],
  ["Connection: close", `${start}${host}Connection: close\r\n\r\n`, { keepsAlive: false }],
  ["Connection: Close", `${start}${host}Connection: Close\r\n\r\n`, { keepsAlive: false }],
  ["Connection: keep-alive", `${start}${host}Connection: keep-alive\r\n\r\n`, { keepsAlive: true }],
  ["close in a list", `${start}${host}Connection: te, close\r\n\r\n`, { keepsAlive: false }],
  ["close in a second Connection", `${start}${host}Connection: te\r\nConnection: close\r\n\r\n`, { keepsAlive: false }],
  ["empty list elements", `${start}${host}Connection: ,, close ,\r\n\r\n`, { keepsAlive: false }],
  ["a length", `${post}Content-Length: 3\r\n\r\n`, { framing: Framing.Length, contentLength: 3 }],
  ["length 0", `${post}Content-Length: 0\r\n\r\n`, { framing: Framing.None, contentLength: 0 }],
  ["the largest length", `${post}Content-Length: 999999999999999\r\n\r\n`, { contentLength: 999_999_999_999_999 }],
  ["a length on GET", `${start}${host}Content-Length: 3\r\n\r\n`, { framing: Framing.Length }],
  ["chunked", `${post}Transfer-Encoding: chunked\r\n\r\n`, { framing: Framing.Chunked }],
  ["Chunked", `${post}transfer-encoding: Chunked\r\n\r\n`, { framing: Framing.Chunked }],
  ["white space around a value", `${post}Content-Length: \t 3 \t\r\n\r\n`, { contentLength: 3 }],
  ["no white space before a value", `${start}Host:a.test\r\n\r\n`, { authority: "a.test" }],
  ["an empty value", `${start}${host}X:\r\n\r\n`, { method: "GET" }],
  ["a value of one space", `${start}${host}X: \r\n\r\n`, { method: "GET" }],
  ["obs-text in a value", `${start}${host}X: \xe4\xff\r\n\r\n`, { method: "GET" }],
  ["a tab in a value", `${start}${host}X: a\tb\r\n\r\n`, { method: "GET" }],
  ["every token character in a name", `${start}${host}!#$%&'*+-.^_\`|~09azAZ: x\r\n\r\n`, { method: "GET" }],
  ["Expect", `${post}Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n`, { expectsContinue: true }],
  ["Expect without a body", `${start}${host}Expect: 100-continue\r\n\r\n`, { expectsContinue: false }],
  ["Expect on 1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", { expectsContinue: false }],
  [
    "an upgrade to h2c",
    `${start}${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n`,
    { asksForWebsocket: false },
  ],
  [
    "a websocket",
    `${start}${host}Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n`,
    { asksForWebsocket: true },
  ],
  ["a websocket that is not nominated", `${start}${host}Upgrade: websocket\r\n\r\n`, { asksForWebsocket: false }],
  [
    "a websocket among others",
    `${start}${host}Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n`,
    { asksForWebsocket: false },
  ],
  [
    "a websocket over HTTP/1.0",
    "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    { asksForWebsocket: false },
  ],
  ["a websocket by POST", `${post}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`, { asksForWebsocket: false }],
  [
    "a websocket with a body",
    `${start}${host}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n`,
    { asksForWebsocket: false },
  ],
  ["99 fields and Host", `${start}${host}${"X: y\r\n".repeat(99)}\r\n`, { method: "GET" }],
  ["M-SEARCH", `M-SEARCH / HTTP/1.1\r\n${host}\r\n`, { method: "M-SEARCH" }],
  ["DELETE", `DELETE /x HTTP/1.1\r\n${host}\r\n`, { method: "DELETE" }],
  ["OPTIONS on a path", `OPTIONS /x HTTP/1.1\r\n${host}\r\n`, { method: "OPTIONS" }],
];

describe("RequestHead", () => {
  it("is tried on at least 60 malformed and 40 well-formed heads", () => {
    expect(malformed.length).toBeGreaterThanOrEqual(60);
    expect(wellFormed.length).toBeGreaterThanOrEqual(40);
  });

  it.each(malformed)("refuses %s", (_, text, problem) => {
    expect(problemOf(text)).toBe(problem);
  });

  it.each(wellFormed)("accepts %s", (_, text, want) => {
    const { result, head, bytes } = parse(text);
    expect(result).toBe(bytes.length);
    expect(facts(head, bytes)).toMatchObject(want);
  });

  it.each(wellFormed)("waits for the rest of %s, wherever it is cut", (_, text) => {
    const whole = parse(text);
    const bytes = Buffer.from(text, "latin1");
    const head = new RequestHead();
    for (let cut = 0; cut < bytes.length; cut++) expect(head.parse(bytes, 0, cut)).toBe(0);
    expect(head.parse(bytes, 0, bytes.length)).toBe(bytes.length);
    expect(facts(head, bytes)).toEqual(facts(whole.head, whole.bytes));
  });

  it.each(malformed)("refuses %s for the same reason however it is cut", (_, text, problem) => {
    const bytes = Buffer.from(text, "latin1");
    const head = new RequestHead();
    const verdicts = new Set<string>();
    for (let cut = 0; cut <= bytes.length; cut += 1 + Math.trunc(bytes.length / 2_000)) {
      const result = head.parse(bytes, 0, cut);
      // A cut head is not accepted, and is refused early only for what it is refused for in the end.
      expect(result).toBeLessThanOrEqual(0);
      if (result < 0) verdicts.add(headProblem(result).name);
    }
    verdicts.add(problemOf(text));
    expect([...verdicts]).toEqual([problem]);
  });

  it("reads a head in the midst of other bytes and stops at its end", () => {
    const before = "garbage";
    const text = `${before}${start}${host}\r\nGET /next HTTP/1.1\r\n`;
    const bytes = Buffer.from(text, "latin1");
    const head = new RequestHead();
    expect(head.parse(bytes, before.length, bytes.length)).toBe(before.length + `${start}${host}\r\n`.length);
  });

  it("forgets the head before", () => {
    const head = new RequestHead();
    const first = Buffer.from(
      `${post}Content-Length: 9\r\nExpect: 100-continue\r\nAccept: a/b\r\nTE: trailers\r\n\r\n`,
    );
    const second = Buffer.from(`${start}${host}\r\n`);
    head.parse(first, 0, first.length);
    head.parse(second, 0, second.length);
    expect(facts(head, second)).toMatchObject({ framing: Framing.None, contentLength: 0, expectsContinue: false });
    expect(head.acceptIndex).toBe(-1);
    expect(head.hasTrailersOption).toBe(false);
  });

  it("never throws and never reads past the end, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom("", start, `${start}${host}`, post),
        (tail, lead) => {
          const bytes = Buffer.concat([Buffer.from(lead), tail]);
          const result = new RequestHead().parse(bytes, 0, bytes.length);
          expect(result).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

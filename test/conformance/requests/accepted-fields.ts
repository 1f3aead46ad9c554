import { accepted, get, type RequestFamily } from "../conformance-case.ts";

const line = "GET /x";

export const acceptedFields: RequestFamily = {
  name: "field lines",
  source: "RFC 9110 section 5, RFC 9112 section 5",
  cases: accepted([
    ["no white space after the colon", get("X:y\r\n"), { line, fields: "X:y\r\n" }],
    ["white space around a value", get("X: \t y \t\r\n"), { line, fields: "X: \t y \t\r\n" }],
    ["an empty value", get("X:\r\nY: \r\n"), { line, fields: "X:\r\nY: \r\n" }],
    ["a tab within a value", get("X: a\tb\r\n"), { line, fields: "X: a\tb\r\n" }],
    ["bytes above 0x7f in a value", get("X: \x80\xe4\xff\r\n"), { line, fields: "X: \x80\xe4\xff\r\n" }],
    [
      "every token character in a name",
      get("!#$%&'*+-.^_`|~09azAZ: x\r\n"),
      {
        line,
        fields: "!#$%&'*+-.^_`|~09azAZ: x\r\n",
      },
    ],
    ["a colon within a value", get("X: a:b: c\r\n"), { line, fields: "X: a:b: c\r\n" }],
    [
      "the same field several times, in order",
      get("X: 1\r\nY: 2\r\nx: 3\r\n"),
      {
        line,
        fields: "X: 1\r\nY: 2\r\nx: 3\r\n",
      },
    ],
    [
      "credentials and cookies",
      get("Authorization: Basic YTpi\r\nCookie: a=b; c=d\r\n"),
      {
        line,
        fields: "Authorization: Basic YTpi\r\nCookie: a=b; c=d\r\n",
      },
    ],
    ["a value of 16 KB", get(`X: ${"y".repeat(16_384)}\r\n`), { line, fields: `X: ${"y".repeat(16_384)}\r\n` }],
    ["99 fields beside Host", get("X: y\r\n".repeat(99)), { line, fields: "X: y\r\n".repeat(99) }],
    ["a name of 200 bytes", get(`${"n".repeat(200)}: x\r\n`), { line, fields: `${"n".repeat(200)}: x\r\n` }],
    [
      "a field called like a method of objects",
      get("__proto__: x\r\nconstructor: y\r\n"),
      {
        line,
        fields: "__proto__: x\r\nconstructor: y\r\n",
      },
    ],
    ["a Via of others", get("Via: 1.1 other\r\n"), { line, fields: "Via: 1.1 other\r\n" }],
  ]),
};

export const acceptedHopByHop: RequestFamily = {
  name: "S10: fields of this hop",
  source: "RFC 9110 sections 7.6.1 and 10.1.4",
  cases: accepted([
    ["Connection: keep-alive", get("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"), { line }],
    ["Connection: close", get("Connection: close\r\n"), { line }],
    ["a nominated field", get("X-Own: 1\r\nConnection: X-Own\r\nY: 2\r\n"), { line, fields: "Y: 2\r\n" }],
    ["a nominated field after it, in other case", get("Connection: x-OWN, keep-alive\r\nX-Own: 1\r\n"), { line }],
    [
      "several Connection fields",
      get("Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2\r\nC: 3\r\n"),
      {
        line,
        fields: "C: 3\r\n",
      },
    ],
    ["empty elements of the list", get("Connection: , ,keep-alive,\r\n"), { line }],
    ["a nomination of X-Forwarded-For does not remove ours", get("Connection: x-forwarded-for\r\n"), { line }],
    [
      "a nomination drops what the client says, not what we say",
      get("Connection: X-Real-IP, X-Forwarded-Host, Via\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil.test\r\n"),
      { line },
    ],
    [
      "nominations of all that we add",
      get(
        "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Port, X-Forwarded-Path, X-Kong-Request-Id, Forwarded\r\n" +
          "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n",
      ),
      { line },
    ],
    ["a nomination of a field that is not there", get("Connection: nothing\r\n"), { line }],
    ["TE: trailers", get("TE: trailers\r\nConnection: TE\r\n"), { line, ours: { TE: "trailers", Connection: "TE" } }],
    ["another TE", get("TE: gzip;q=0.5\r\nConnection: TE\r\n"), { line }],
    ["Proxy-Connection", get("Proxy-Connection: keep-alive\r\n"), { line }],
    ["Proxy, which CGI servers take for a variable", get("Proxy: http://evil.test\r\n"), { line }],
    ["HTTP2-Settings without an upgrade", get("HTTP2-Settings: AAMAAABk\r\n"), { line }],
  ]),
};

export const acceptedSpoofs: RequestFamily = {
  name: "S9: what clients say about themselves",
  source: "RFC 7239; CGI's reading of underscores",
  cases: accepted([
    [
      "X-Forwarded-For of the client comes before ours",
      get("X-Forwarded-For: 6.6.6.6\r\n"),
      {
        line,
        ours: { "X-Forwarded-For": "6.6.6.6, 127.0.0.1" },
      },
    ],
    ["X-Real-IP", get("X-Real-IP: 6.6.6.6\r\n"), { line }],
    ["X-Forwarded-Proto", get("X-Forwarded-Proto: https\r\n"), { line }],
    ["X-Forwarded-Host", get("X-Forwarded-Host: evil.test\r\n"), { line }],
    ["X-Forwarded-Port", get("x-forwarded-port: 443\r\n"), { line }],
    ["X-Forwarded-Path and -Prefix", get("X-Forwarded-Path: /a\r\nX-Forwarded-Prefix: /b\r\n"), { line }],
    ["a request id", get("X-Kong-Request-Id: 1\r\n"), { line }],
    [
      "underscore aliases of ours",
      get("X_Forwarded_For: 6.6.6.6\r\nx_real_ip: 6.6.6.6\r\nX_FORWARDED-PROTO: https\r\n"),
      {
        line,
      },
    ],
    ["underscore aliases of framing", get("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n"), { line }],
    ["an underscore elsewhere", get("X_Own: 1\r\n"), { line, fields: "X_Own: 1\r\n" }],
  ]),
};

const traceparent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
const tracestate = "tracestate: a=1,b=2\r\n";

export const acceptedTraces: RequestFamily = {
  name: "trace context",
  source: "W3C Trace Context sections 3.2 and 4.3",
  cases: accepted([
    ["a trace and its state", get(traceparent + tracestate), { line, fields: traceparent + tracestate }],
    ["a trace alone", get(`X: y\r\n${traceparent}`), { line, fields: `X: y\r\n${traceparent}` }],
    [
      "a state in two lines",
      get(traceparent + tracestate.repeat(2)),
      { line, fields: traceparent + tracestate.repeat(2) },
    ],
    ["a state without its trace", get(tracestate), { line }],
    ["a trace of zeros", get(`traceparent: 00-${"0".repeat(32)}-b7ad6b7169203331-01\r\n${tracestate}`), { line }],
    ["two traces", get(traceparent.repeat(2) + tracestate), { line }],
    ["a trace nominated by Connection", get(`Connection: traceparent\r\n${traceparent}`), { line }],
  ]),
};

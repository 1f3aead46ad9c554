import type { ResponseFamily } from "../response-case.ts";

const ok = "HTTP/1.1 200 OK\r\n";
const length5 = "Content-Length: 5\r\n";
const coded = "Transfer-Encoding: chunked\r\n";
const line = "200 OK";
const hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
const hello = { line, fields: length5, body: "hello" };
const chunks = "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

export const legalBodies: ResponseFamily = {
  name: "bodies",
  source: "RFC 9112 section 6.3",
  cases: [
    { name: "a length", bytes: `${ok}${length5}\r\nhello`, want: hello },
    { name: "length 0", bytes: `${ok}Content-Length: 0\r\n\r\n`, want: { line, fields: "Content-Length: 0\r\n" } },
    { name: "a length in another spelling", bytes: `${ok}content-length:\t5 \r\n\r\nhello`, want: hello },
    { name: "chunks", bytes: `${ok}${coded}\r\n${chunks}`, want: { line, fields: coded, body: chunks } },
    {
      name: "chunks with extensions",
      bytes: `${ok}${coded}\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n`,
      want: { line, fields: coded, body: "5\r\nhello\r\n0\r\n\r\n" },
    },
    {
      name: "trailers, without those that may not come there",
      bytes: `${ok}${coded}\r\n5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n`,
      want: { line, fields: coded, body: "5\r\nhello\r\n0\r\nX: y\r\n\r\n" },
    },
    {
      name: "the coding in another spelling",
      bytes: `${ok}transfer-encoding:CHUNKED\r\n\r\n${chunks}`,
      want: { line, fields: coded, body: chunks },
    },
    {
      name: "a body that the close ends",
      bytes: `${ok}\r\nhello`,
      afterwards: "close",
      want: { line, fields: coded, body: "5\r\nhello\r\n0\r\n\r\n", isReused: false },
    },
    {
      name: "no body, and the close says so",
      bytes: `${ok}\r\n`,
      afterwards: "close",
      want: { line, fields: coded, body: "0\r\n\r\n", isReused: false },
    },
    {
      name: "a body of every byte",
      bytes: `${ok}Content-Length: 256\r\n\r\n${everyByte()}`,
      want: { line, fields: "Content-Length: 256\r\n", body: everyByte() },
    },
    {
      name: "a body that looks like an answer",
      bytes: `${ok}Content-Length: 19\r\n\r\n${ok}\r\n`,
      want: { line, fields: "Content-Length: 19\r\n", body: `${ok}\r\n` },
    },
    {
      name: "a body of 100 KB",
      bytes: `${ok}Content-Length: 100000\r\n\r\n${"b".repeat(100_000)}`,
      want: { line, fields: "Content-Length: 100000\r\n", body: "b".repeat(100_000) },
    },
    {
      name: "length and close",
      bytes: `${ok}Connection: close\r\n${length5}\r\nhello`,
      want: { ...hello, isReused: false },
    },
    {
      name: "HTTP/1.0",
      bytes: `HTTP/1.0 200 OK\r\n${length5}\r\nhello`,
      afterwards: "close",
      want: { ...hello, isReused: false },
    },
    {
      name: "HTTP/1.0 that the close ends",
      bytes: "HTTP/1.0 200 OK\r\n\r\nhello",
      afterwards: "close",
      want: { line, fields: coded, body: "5\r\nhello\r\n0\r\n\r\n", isReused: false },
    },
  ],
};

export const legalForOldClients: ResponseFamily = {
  name: "bodies for HTTP/1.0 clients",
  source: "RFC 9112 sections 6.1 and 7",
  cases: [
    { name: "a length", version: "1.0", bytes: `${ok}${length5}\r\nhello`, want: hello },
    {
      name: "chunks lose their framing",
      version: "1.0",
      bytes: `${ok}${coded}\r\n${chunks}`,
      want: { line, body: "hello" },
    },
    { name: "no chunk", version: "1.0", bytes: `${ok}${coded}\r\n0\r\n\r\n`, want: { line } },
    {
      name: "a body that the close ends",
      version: "1.0",
      bytes: `${ok}\r\nhello`,
      afterwards: "close",
      want: { line, body: "hello", isReused: false },
    },
  ],
};

export const legalWithoutBody: ResponseFamily = {
  name: "answers without body",
  source: "RFC 9110 sections 6.4.1, 8.6 and 15; RFC 9112 section 6.3",
  cases: [
    { name: "204", bytes: "HTTP/1.1 204 No Content\r\n\r\n", want: { line: "204 No Content" } },
    {
      name: "204 with length 0",
      bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
      want: { line: "204 No Content" },
    },
    {
      name: "304",
      bytes: 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
      want: { line: "304 Not Modified", fields: 'ETag: "a"\r\n' },
    },
    {
      name: "304 with a length",
      bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      want: { line: "304 Not Modified", fields: "Content-Length: 5\r\n" },
    },
    {
      name: "304 with a coding",
      bytes: `HTTP/1.1 304 Not Modified\r\n${coded}\r\n`,
      want: { line: "304 Not Modified" },
    },
    { name: "HEAD with a length", method: "HEAD", bytes: `${ok}${length5}\r\n`, want: { line, fields: length5 } },
    { name: "HEAD with a coding", method: "HEAD", bytes: `${ok}${coded}\r\n`, want: { line } },
    { name: "HEAD with neither", method: "HEAD", bytes: `${ok}\r\n`, want: { line } },
    {
      name: "304 to HEAD with a length",
      method: "HEAD",
      bytes: `HTTP/1.1 304 Not Modified\r\n${length5}\r\n`,
      want: { line: "304 Not Modified", fields: length5 },
    },
    {
      name: "204 to HEAD with length 0",
      method: "HEAD",
      bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
      want: { line: "204 No Content" },
    },
    {
      name: "HEAD of an HTTP/1.0 client with a length",
      method: "HEAD",
      version: "1.0",
      bytes: `${ok}${length5}\r\n`,
      want: { line, fields: length5 },
    },
    {
      name: "HEAD with an error",
      method: "HEAD",
      bytes: `HTTP/1.1 404 Not Found\r\n${length5}\r\n`,
      want: { line: "404 Not Found", fields: length5 },
    },
  ],
};

export const legalHeads: ResponseFamily = {
  name: "heads",
  source: "RFC 9112 sections 4 and 5; RFC 9110 section 7.6.1",
  cases: [
    { name: "no reason", bytes: `HTTP/1.1 200 \r\n${length5}\r\nhello`, want: { ...hello, line: "200 " } },
    {
      name: "neither reason nor its space",
      bytes: `HTTP/1.1 200\r\n${length5}\r\nhello`,
      want: { ...hello, line: "200" },
    },
    {
      name: "bytes above 0x7f in the reason",
      bytes: `HTTP/1.1 200 \xe4\r\n${length5}\r\nhello`,
      want: { ...hello, line: "200 \xe4" },
    },
    {
      name: "an error with a body",
      bytes: `HTTP/1.1 500 No\r\n${length5}\r\nhello`,
      want: { ...hello, line: "500 No" },
    },
    {
      name: "an unknown status",
      bytes: `HTTP/1.1 299 Odd\r\n${length5}\r\nhello`,
      want: { ...hello, line: "299 Odd" },
    },
    {
      name: "a redirect",
      bytes: `HTTP/1.1 302 Found\r\nLocation: /y\r\n${length5}\r\nhello`,
      want: { line: "302 Found", fields: `Location: /y\r\n${length5}`, body: "hello" },
    },
    {
      name: "fields as they came, in order",
      bytes: `${ok}Set-Cookie: a\r\nx:  y \r\nSet-Cookie: b\r\n${length5}Server: t\r\n\r\nhello`,
      want: { ...hello, fields: `Set-Cookie: a\r\nx:  y \r\nSet-Cookie: b\r\nServer: t\r\n${length5}` },
    },
    {
      name: "fields of the hop stay here",
      bytes: `${ok}Connection: keep-alive, X-Own\r\nKeep-Alive: timeout=5\r\nX-Own: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n${length5}\r\nhello`,
      want: hello,
    },
    {
      name: "our own names are ours",
      bytes: `${ok}X-Kong-Request-Id: 1\r\nX-Kong-Proxy-Latency: 1\r\nX-Kong-Upstream-Latency: 1\r\n${length5}\r\nhello`,
      want: hello,
    },
    {
      name: "underscore aliases of framing",
      bytes: `${ok}Content_Length: 9\r\nTransfer_Encoding: chunked\r\n${length5}\r\nhello`,
      want: hello,
    },
    {
      name: "a value of 40 KB",
      bytes: `${ok}X: ${"y".repeat(40_000)}\r\n${length5}\r\nhello`,
      want: { ...hello, fields: `X: ${"y".repeat(40_000)}\r\n${length5}` },
    },
    {
      name: "199 fields beside the length",
      bytes: `${ok}${"X: y\r\n".repeat(199)}${length5}\r\nhello`,
      want: { ...hello, fields: `${"X: y\r\n".repeat(199)}${length5}` },
    },
  ],
};

export const legalInterim: ResponseFamily = {
  name: "interim answers",
  source: "RFC 9110 section 15.2; RFC 8297",
  cases: [
    { name: "100 that nobody asked for", bytes: `HTTP/1.1 100 Continue\r\n\r\n${ok}${length5}\r\nhello`, want: hello },
    {
      name: "102",
      bytes: `HTTP/1.1 102 Processing\r\n\r\n${ok}${length5}\r\nhello`,
      want: { ...hello, interim: "HTTP/1.1 102 Processing\r\n\r\n" },
    },
    {
      name: "103 with fields, without those of the hop",
      bytes: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n${ok}${length5}\r\nhello`,
      want: { ...hello, interim: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" },
    },
    {
      name: "several",
      bytes: `${hints.repeat(3)}${ok}${length5}\r\nhello`,
      want: { ...hello, interim: hints.repeat(3) },
    },
    {
      name: "an unknown one",
      bytes: `HTTP/1.1 199 Odd\r\n\r\n${ok}${length5}\r\nhello`,
      want: { ...hello, interim: "HTTP/1.1 199 Odd\r\n\r\n" },
    },
    { name: "one for an HTTP/1.0 client", version: "1.0", bytes: `${hints}${ok}${length5}\r\nhello`, want: hello },
  ],
};

/** Whole answers, and then more: those bytes belong to no request. */
export const legalThenMore: ResponseFamily = {
  name: "bytes after the answer",
  source: "RFC 9112 section 9.3; response queue poisoning",
  cases: (
    [
      ["after a length", `${ok}${length5}\r\nhello`, hello],
      ["after no body", "HTTP/1.1 204 No Content\r\n\r\n", { line: "204 No Content" }],
      [
        "after 304",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        { line: "304 Not Modified", fields: "Content-Length: 5\r\n" },
      ],
      ["after the last chunk", `${ok}${coded}\r\n${chunks}`, { line, fields: coded, body: chunks }],
      ["after length 0", `${ok}Content-Length: 0\r\n\r\n`, { line, fields: "Content-Length: 0\r\n" }],
    ] as const
  ).flatMap(([name, bytes, want]) => [
    {
      name: `an answer ${name}`,
      bytes: `${bytes}${ok}Content-Length: 8\r\n\r\nsmuggled`,
      want: { ...want, isReused: false },
    },
    { name: `a line end ${name}`, bytes: `${bytes}\r\n`, want: { ...want, isReused: false } },
  ]),
};

export const legalHeadThenMore: ResponseFamily = {
  name: "HEAD answered with a body",
  source: "RFC 9110 section 9.3.2",
  cases: [
    {
      name: "a body of the said length",
      method: "HEAD",
      bytes: `${ok}${length5}\r\nhello`,
      want: { line, fields: length5, isReused: false },
    },
    { name: "chunks", method: "HEAD", bytes: `${ok}${coded}\r\n${chunks}`, want: { line, isReused: false } },
    {
      name: "another answer",
      method: "HEAD",
      bytes: `${ok}${length5}\r\n${ok}Content-Length: 8\r\n\r\nsmuggled`,
      want: { line, fields: length5, isReused: false },
    },
  ],
};

function everyByte(): string {
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");
}

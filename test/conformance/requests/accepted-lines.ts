import { accepted, get, type RequestFamily } from "../conformance-case.ts";

const host = "Host: a.test\r\n";

export const acceptedLines: RequestFamily = {
  name: "request line",
  source: "RFC 9112 sections 2.2, 3 and 3.2",
  cases: accepted([
    ["a plain GET", get(""), { line: "GET /x" }],
    ["an empty line before it", `\r\n${get("")}`, { line: "GET /x" }],
    ["the root", get("", "/"), { line: "GET /" }],
    ["a query", get("", "/x?a=b&c=%20+d"), { line: "GET /x?a=b&c=%20+d", ours: { "X-Forwarded-Path": "/x" } }],
    ["a lone question mark", get("", "/x?"), { line: "GET /x?", ours: { "X-Forwarded-Path": "/x" } }],
    [
      "what browsers leave unescaped in a query",
      get("", `/x?q={"a|b"}'^\`\\<>`),
      { line: `GET /x?q={"a|b"}'^\`\\<>`, ours: { "X-Forwarded-Path": "/x" } },
    ],
    [
      "slashes and dots in a query",
      get("", "/x?u=http://b/../c"),
      {
        line: "GET /x?u=http://b/../c",
        ours: { "X-Forwarded-Path": "/x" },
      },
    ],
    ["every character of a path segment", get("", "/-._~!$&'()*+,=:@;a"), { line: "GET /-._~!$&'()*+,=:@;a" }],
    ["parameters of a segment", get("", "/a;v=1/b;v=2"), { line: "GET /a;v=1/b;v=2" }],
    ["escapes that stay", get("", "/a%20b%C3%A9"), { line: "GET /a%20b%C3%A9" }],
    ["a trailing slash", get("", "/a/"), { line: "GET /a/" }],
    ["dots that are no dot segment", get("", "/.well-known/a..b/..."), { line: "GET /.well-known/a..b/..." }],
    ["a target of 8,192 bytes", get("", `/${"a".repeat(8_191)}`), { line: `GET /${"a".repeat(8_191)}` }],
    [
      "absolute-form of the same host",
      get("", "http://a.test/x"),
      {
        line: "GET /x",
      },
    ],
    [
      "absolute-form overrides Host",
      `GET http://b.test:81/x?y HTTP/1.1\r\n${host}\r\n`,
      {
        line: "GET /x?y",
        ours: { "X-Forwarded-Host": "b.test", "X-Forwarded-Path": "/x" },
      },
    ],
    [
      "absolute-form in capitals",
      `GET HTTP://B.test/x HTTP/1.1\r\n${host}\r\n`,
      {
        line: "GET /x",
        ours: { "X-Forwarded-Host": "b.test" },
      },
    ],
    [
      "absolute-form without a path",
      `GET http://b.test HTTP/1.1\r\n${host}\r\n`,
      {
        line: "GET /",
        ours: { "X-Forwarded-Host": "b.test", "X-Forwarded-Path": "/" },
      },
    ],
    [
      "absolute-form with a query alone",
      `GET http://b.test?q HTTP/1.1\r\n${host}\r\n`,
      {
        line: "GET /?q",
        ours: { "X-Forwarded-Host": "b.test", "X-Forwarded-Path": "/" },
      },
    ],
    ["HEAD", `HEAD /x HTTP/1.1\r\n${host}\r\n`, { line: "HEAD /x" }],
    ["OPTIONS of a path", `OPTIONS /x HTTP/1.1\r\n${host}\r\n`, { line: "OPTIONS /x" }],
    ["DELETE", `DELETE /x HTTP/1.1\r\n${host}\r\n`, { line: "DELETE /x" }],
    ["a method of WebDAV", `PROPFIND /x HTTP/1.1\r\n${host}\r\n`, { line: "PROPFIND /x" }],
    ["a method with a hyphen", `M-SEARCH /x HTTP/1.1\r\n${host}\r\n`, { line: "M-SEARCH /x" }],
    [
      "HTTP/1.0 without Host",
      "GET /x HTTP/1.0\r\n\r\n",
      {
        line: "GET /x",
        ours: { "X-Forwarded-Host": null, Via: "1.0 penstock" },
      },
    ],
    [
      "HTTP/1.0 with Host and keep-alive",
      `GET /x HTTP/1.0\r\n${host}Connection: keep-alive\r\n\r\n`,
      {
        line: "GET /x",
        ours: { Via: "1.0 penstock" },
      },
    ],
    ["two requests in one piece", get("", "/1") + get("", "/2"), [{ line: "GET /1" }, { line: "GET /2" }]],
    [
      "an empty line between two requests",
      `${get("", "/1")}\r\n${get("", "/2")}`,
      [{ line: "GET /1" }, { line: "GET /2" }],
    ],
  ]),
};

export const acceptedHosts: RequestFamily = {
  name: "host",
  source: "RFC 9110 section 7.2, RFC 3986 section 3.2.2",
  cases: accepted(
    (
      [
        ["a name", "a.test", "a.test"],
        ["a port", "a.test:8080", "a.test"],
        ["port 0", "a.test:0", "a.test"],
        ["an IPv4 address", "127.0.0.1:80", "127.0.0.1"],
        ["an IPv6 address", "[::1]:80", "[::1]"],
        ["an IPv6 address that embeds an IPv4 one", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"],
        ["capitals", "A.Test", "a.test"],
        ["an underscore", "my_service", "my_service"],
        ["a trailing dot", "a.test.", "a.test"],
        ["white space around it", "\t a.test \t", "a.test"],
      ] as const
    ).map(
      ([name, value, seen]) =>
        [
          name,
          `GET /x HTTP/1.1\r\nHost: ${value}\r\n\r\n`,
          { line: "GET /x", ours: { "X-Forwarded-Host": seen } },
        ] as const,
    ),
  ),
};

import { accepted, chunked, get, post, type RequestFamily } from "../conformance-case.ts";

const line = "POST /x";
const coded = "Transfer-Encoding: chunked\r\n";

export const acceptedLengths: RequestFamily = {
  name: "content-length",
  source: "RFC 9110 section 8.6",
  cases: accepted([
    ["a body", post("Content-Length: 5\r\n", "hello"), { line, fields: "Content-Length: 5\r\n", body: "hello" }],
    ["no body", post("Content-Length: 0\r\n", ""), { line, fields: "Content-Length: 0\r\n" }],
    ["neither length nor coding", post("", ""), { line }],
    [
      "a tab before the length",
      post("Content-Length:\t5\r\n", "hello"),
      {
        line,
        fields: "Content-Length: 5\r\n",
        body: "hello",
      },
    ],
    [
      "white space after the length",
      post("content-length:5 \t\r\n", "hello"),
      {
        line,
        fields: "Content-Length: 5\r\n",
        body: "hello",
      },
    ],
    [
      "a body on GET",
      get("Content-Length: 3\r\n").concat("abc"),
      {
        line: "GET /x",
        fields: "Content-Length: 3\r\n",
        body: "abc",
      },
    ],
    [
      "a body that looks like a request",
      post("Content-Length: 24\r\n", "GET /smuggled HTTP/1.1\r\n"),
      {
        line,
        fields: "Content-Length: 24\r\n",
        body: "GET /smuggled HTTP/1.1\r\n",
      },
    ],
    [
      "a body of every byte",
      post("Content-Length: 256\r\n", everyByte()),
      {
        line,
        fields: "Content-Length: 256\r\n",
        body: everyByte(),
      },
    ],
    [
      "a body of 20 KB",
      post("Content-Length: 20000\r\n", "b".repeat(20_000)),
      {
        line,
        fields: "Content-Length: 20000\r\n",
        body: "b".repeat(20_000),
      },
    ],
    [
      "a body, then another request",
      post("Content-Length: 5\r\n", "hello") + get(""),
      [{ line, fields: "Content-Length: 5\r\n", body: "hello" }, { line: "GET /x" }],
    ],
    [
      "HTTP/1.0 with a body",
      "POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
      {
        line,
        fields: "Content-Length: 2\r\n",
        body: "hi",
        ours: { "X-Forwarded-Host": null, Via: "1.0 penstock" },
      },
    ],
    [
      "Expect: 100-continue with the body already sent",
      post("Content-Length: 2\r\nExpect: 100-continue\r\n", "hi"),
      {
        line,
        fields: "Content-Length: 2\r\n",
        body: "hi",
      },
    ],
    [
      "Expect in other case",
      post("Content-Length: 2\r\nexpect: 100-CONTINUE\r\n", "hi"),
      {
        line,
        fields: "Content-Length: 2\r\n",
        body: "hi",
      },
    ],
    ["Expect without a body", get("Expect: 100-continue\r\n"), { line: "GET /x" }],
  ]),
};

export const acceptedChunks: RequestFamily = {
  name: "chunked",
  source: "RFC 9112 section 7.1",
  cases: accepted([
    ["one chunk", chunked("5\r\nhello\r\n0\r\n\r\n"), { line, fields: coded, body: "5\r\nhello\r\n0\r\n\r\n" }],
    [
      "several chunks",
      chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
      },
    ],
    ["no chunk", chunked("0\r\n\r\n"), { line, fields: coded, body: "0\r\n\r\n" }],
    [
      "a size in capitals",
      chunked("A\r\n0123456789\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "A\r\n0123456789\r\n0\r\n\r\n",
      },
    ],
    [
      "leading zeros",
      chunked("0005\r\nhello\r\n000\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "0005\r\nhello\r\n000\r\n\r\n",
      },
    ],
    [
      "extensions, which stay here",
      chunked('5;a;b=c;d="e f"\r\nhello\r\n0;x\r\n\r\n'),
      {
        line,
        fields: coded,
        body: "5\r\nhello\r\n0\r\n\r\n",
      },
    ],
    [
      "line ends as content",
      chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "4\r\n\r\n\r\n\r\n0\r\n\r\n",
      },
    ],
    [
      "content that looks like the end",
      chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
      },
    ],
    [
      "the coding in capitals",
      post("Transfer-Encoding: Chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "1\r\na\r\n0\r\n\r\n",
      },
    ],
    [
      "a tab before the coding",
      post("transfer-encoding:\tchunked \r\n", "1\r\na\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "1\r\na\r\n0\r\n\r\n",
      },
    ],
    [
      "chunked on GET",
      get(coded).concat("1\r\na\r\n0\r\n\r\n"),
      {
        line: "GET /x",
        fields: coded,
        body: "1\r\na\r\n0\r\n\r\n",
      },
    ],
    [
      "a chunk of 20 KB",
      chunked(`4e20\r\n${"b".repeat(20_000)}\r\n0\r\n\r\n`),
      {
        line,
        fields: coded,
        body: `4e20\r\n${"b".repeat(20_000)}\r\n0\r\n\r\n`,
      },
    ],
    [
      "Expect with a chunked body",
      post(`${coded}Expect: 100-continue\r\n`, "1\r\na\r\n0\r\n\r\n"),
      {
        line,
        fields: coded,
        body: "1\r\na\r\n0\r\n\r\n",
      },
    ],
    [
      "a chunked body, then another request",
      chunked("1\r\na\r\n0\r\n\r\n") + get(""),
      [{ line, fields: coded, body: "1\r\na\r\n0\r\n\r\n" }, { line: "GET /x" }],
    ],
  ]),
};

function everyByte(): string {
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");
}

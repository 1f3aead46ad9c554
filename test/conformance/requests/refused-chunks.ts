import { brokenOff, chunked, type RequestCase, type RequestFamily } from "../conformance-case.ts";

const zero = "0\r\n\r\n";

export const refusedChunks: RequestFamily = {
  name: "chunk framing",
  source: "RFC 9112 section 7.1",
  cases: brokenOff([
    ["no size", chunked("\r\nhello\r\n0\r\n\r\n")],
    ["a plus sign", chunked(`+5\r\nhello\r\n${zero}`)],
    ["a minus sign", chunked(`-5\r\nhello\r\n${zero}`)],
    ["a prefix", chunked(`0x5\r\nhello\r\n${zero}`)],
    ["a letter that is no digit", chunked(`g\r\nhello\r\n${zero}`)],
    ["an underscore", chunked(`0_5\r\nhello\r\n${zero}`)],
    ["a space before the size", chunked(` 5\r\nhello\r\n${zero}`)],
    ["a space after the size", chunked(`5 \r\nhello\r\n${zero}`)],
    ["a tab after the size", chunked(`5\t\r\nhello\r\n${zero}`)],
    ["a comma after the size", chunked(`5,\r\nhello\r\n${zero}`)],
    ["a NUL after the size", chunked(`5\0\r\nhello\r\n${zero}`)],
    ["2^64 + 5, which wraps to 5", chunked(`10000000000000005\r\nhello\r\n${zero}`)],
    ["2^56 + 5", chunked(`100000000000005\r\nhello\r\n${zero}`)],
    ["2^64 - 1", chunked(`ffffffffffffffff\r\nhello\r\n${zero}`)],
    ["zeros without end", chunked("0".repeat(1_000))],
    ["a zero size after many zeros", chunked(`${"0".repeat(40)}\r\n\r\n`)],
    ["a bare LF after the size", chunked(`5\nhello\r\n${zero}`)],
    ["a bare CR after the size", chunked(`5\rhello\r\n${zero}`)],
    ["CR CR LF after the size", chunked(`5\r\r\nhello\r\n${zero}`)],
    ["a bare LF after the content", chunked(`5\r\nhello\n${zero}`)],
    ["no line end after the content", chunked(`5\r\nhello${zero}`)],
    ["a bare CR after the content", chunked(`5\r\nhello\r${zero}`)],
    ["content longer than said", chunked(`3\r\nhello\r\n${zero}`)],
    ["two bytes in place of the line end", chunked(`5\r\nhelloXX${zero}`)],
    ["a bare LF at the end", chunked("5\r\nhello\r\n0\r\n\n")],
    ["a bare CR at the end", chunked("5\r\nhello\r\n0\r\n\rGET /smuggled HTTP/1.1\r\n\r\n")],
    ["a bare LF after the last size", chunked("5\r\nhello\r\n0\n\r\n")],
  ]),
};

export const refusedExtensions: RequestFamily = {
  name: "chunk extensions",
  source: "RFC 9112 section 7.1.1",
  cases: brokenOff([
    ["a bare LF within", chunked(`5;a\nhello\r\n${zero}`)],
    ["a bare LF within, and a size after it", chunked(`2;\nxx\r\n4c\r\n${zero}`)],
    ["a bare CR within", chunked(`5;a\rb\r\nhello\r\n${zero}`)],
    ["a NUL within", chunked(`5;a\0\r\nhello\r\n${zero}`)],
    ["a control within", chunked(`5;a=\x07\r\nhello\r\n${zero}`)],
    ["row 45: 70 KB", chunked(`5;${"a".repeat(70_000)}\r\nhello\r\n${zero}`)],
    ["a flood of small ones", chunked("1;aaaaaaaaaa\r\nx\r\n".repeat(500) + zero)],
  ]),
};

const trailers: readonly (readonly [name: string, lines: string, status?: number])[] = [
  ["an empty name", ": x\r\n"],
  ["a space before the colon", "X : y\r\n"],
  ["no colon", "X\r\n"],
  ["a folded line", "X: y\r\n z\r\n"],
  ["a bare LF", "X: y\nZ: y\r\n"],
  ["a bare CR", "X: y\rZ: y\r\n"],
  ["a NUL", "X: \0\r\n"],
  ["a control in the name", "X\x01: y\r\n"],
  ["a request line", "GET /smuggled HTTP/1.1\r\n"],
  ["70 KB", `X: ${"y".repeat(70_000)}\r\n`, 431],
];

export const refusedTrailers: RequestFamily = {
  name: "trailers",
  source: "RFC 9112 section 7.1.2",
  cases: brokenOff(
    trailers.map(([name, lines, status]) => [name, chunked(`5\r\nhello\r\n0\r\n${lines}\r\n`), status] as const),
  ),
};

/** Not refused, since more could follow; never told as a whole request either. */
export const incomplete: RequestFamily = {
  name: "requests that never end",
  source: "RFC 9112 section 8",
  cases: (
    [
      ["half a head", "GET /x HTTP/1.1\r\nHost: a.te"],
      ["a head without its empty line", "GET /x HTTP/1.1\r\nHost: a.test\r\n"],
      ["a length that is too long", "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nhello"],
      ["a chunk that is too short", chunked("6\r\nhello")],
      ["no last chunk", chunked("5\r\nhello\r\n")],
      ["no end after the last chunk", chunked("5\r\nhello\r\n0\r\n")],
      ["2^32 + 5 bytes, which 32 bits wrap to 5", chunked("100000005\r\nhello")],
    ] as const
  ).map(([name, bytes]): RequestCase => ({ name, bytes, want: "waits" })),
};

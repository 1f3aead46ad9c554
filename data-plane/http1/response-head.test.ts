import { describe, expect, it } from "vitest";
import { Framing } from "./body-framing.ts";
import { headProblem } from "./head-problem.ts";
import { ResponseHead } from "./response-head.ts";

function parse(text: string, isAnswerToHead = false) {
  const bytes = Buffer.from(text, "latin1");
  const head = new ResponseHead();
  return { result: head.parse(bytes, 0, bytes.length, isAnswerToHead), head, bytes };
}

const ok = "HTTP/1.1 200 OK\r\n";

describe("ResponseHead", () => {
  it.each([
    ["a length", `${ok}Content-Length: 5\r\n\r\n`, { status: 200, framing: Framing.Length, contentLength: 5 }],
    ["length 0", `${ok}Content-Length: 0\r\n\r\n`, { framing: Framing.None, contentLength: 0 }],
    ["chunked", `${ok}Transfer-Encoding: chunked\r\n\r\n`, { framing: Framing.Chunked }],
    ["neither", `${ok}\r\n`, { framing: Framing.UntilClose, contentLength: -1 }],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", { framing: Framing.None }],
    ["204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", { framing: Framing.None }],
    [
      "304 with a length",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
      { framing: Framing.None, contentLength: 9 },
    ],
    ["304 with chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", { framing: Framing.None }],
    ["100", "HTTP/1.1 100 Continue\r\n\r\n", { status: 100, framing: Framing.None }],
    ["103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", { status: 103 }],
    ["no reason", "HTTP/1.1 200 \r\n\r\n", { status: 200 }],
    ["no reason and no space", "HTTP/1.1 200\r\n\r\n", { status: 200 }],
    ["a reason in obs-text", "HTTP/1.1 200 \xfc\r\n\r\n", { status: 200 }],
    ["status 599", "HTTP/1.1 599 Odd\r\n\r\n", { status: 599 }],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", { minorVersion: 0, keepsAlive: false }],
    ["Connection: close", `${ok}Connection: close\r\n\r\n`, { keepsAlive: false }],
    [
      "HTTP/1.0 with keep-alive",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
      { keepsAlive: true },
    ],
    [
      "a switch to websocket",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
      { switchesToWebsocket: true, framing: Framing.None },
    ],
    [
      "a switch to something else",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
      { switchesToWebsocket: false },
    ],
    [
      "a switch to two things",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
      { switchesToWebsocket: false },
    ],
    [
      "a switch that is not nominated",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
      { switchesToWebsocket: false },
    ],
    ["150 fields", `${ok}${"X: y\r\n".repeat(150)}\r\n`, { status: 200 }],
  ])("accepts %s", (_, text, want) => {
    const { result, head, bytes } = parse(text);
    expect(result).toBe(bytes.length);
    expect(head).toMatchObject(want);
    for (let cut = 0; cut < bytes.length; cut++) expect(new ResponseHead().parse(bytes, 0, cut, false)).toBe(0);
  });

  it.each([
    ["garbage", "SSH-2.0-OpenSSH\r\n", "status_line"],
    ["HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "status_line"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "status_line"],
    ["two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n", "status"],
    ["two digits", "HTTP/1.1 20 OK\r\n\r\n", "status"],
    ["four digits", "HTTP/1.1 2000 OK\r\n\r\n", "status"],
    ["status 000", "HTTP/1.1 000 OK\r\n\r\n", "status"],
    ["status 600", "HTTP/1.1 600 OK\r\n\r\n", "status"],
    ["a signed status", "HTTP/1.1 +20 OK\r\n\r\n", "status"],
    ["a NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n", "line_end"],
    ["a bare LF", "HTTP/1.1 200 OK\nX: y\r\n\r\n", "line_end"],
    ["a bare LF after a field", `${ok}X: y\nY: z\r\n\r\n`, "line_end"],
    ["a NUL in a value", `${ok}X: \0\r\n\r\n`, "field_value"],
    ["an obs-fold", `${ok}X: a\r\n b\r\n\r\n`, "folded_line"],
    ["a space before the colon", `${ok}X : a\r\n\r\n`, "field_name"],
    ["two lengths", `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, "content_length_duplicate"],
    ["a length twice", `${ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`, "content_length_duplicate"],
    ["a signed length", `${ok}Content-Length: -1\r\n\r\n`, "content_length"],
    ["length and chunked", `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, "length_and_encoding"],
    ["gzip", `${ok}Transfer-Encoding: gzip\r\n\r\n`, "transfer_encoding"],
    ["chunked on 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "encoding_in_old_version"],
    ["204 with a length", "HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\n", "length_and_encoding"],
    ["204 with chunked", "HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", "length_and_encoding"],
    ["100 with a length", "HTTP/1.1 100 X\r\nContent-Length: 3\r\n\r\n", "length_and_encoding"],
    ["Connection nominating Content-Length", `${ok}Connection: content-length\r\n\r\n`, "connection_option"],
    ["10,000 fields", `${ok}${"X: y\r\n".repeat(10_000)}\r\n`, "too_many_fields"],
    ["1 MB of fields", `${ok}X: ${"y".repeat(1_000_000)}\r\n\r\n`, "head_too_large"],
  ])("refuses %s", (_, text, problem) => {
    const { result } = parse(text);
    expect(result).toBeLessThan(0);
    expect(headProblem(result).name).toBe(problem);
  });

  it("knows that an answer to HEAD has no body", () => {
    expect(parse(`${ok}Content-Length: 5\r\n\r\n`, true).head).toMatchObject({
      framing: Framing.None,
      contentLength: 5,
    });
    expect(parse(`${ok}Transfer-Encoding: chunked\r\n\r\n`, true).head.framing).toBe(Framing.None);
    expect(parse(`${ok}\r\n`, true).head.framing).toBe(Framing.None);
  });
});

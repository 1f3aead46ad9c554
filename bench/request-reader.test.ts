import { describe, expect, it } from "vitest";
import { RequestReader } from "./request-reader.ts";

const get = "GET /answer HTTP/1.1\r\nHost: a\r\n\r\n";
const withLength = "POST /answer HTTP/1.1\r\ncontent-length: 5\r\n\r\nxxxxx";
const inChunks = "POST /answer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n2\r\nxx\r\n0\r\n\r\n";

describe("RequestReader", () => {
  it.each([1, 2, 7, 1_000])("finds requests that arrive %d bytes at a time", (pieceBytes) => {
    const reader = new RequestReader();
    const found: [string, number][] = [];
    const bytes = Buffer.from(get + withLength + inChunks + get, "latin1");
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      reader.read(bytes.subarray(at, at + pieceBytes), (head, bodyBytes) => {
        found.push([head.toString("latin1").split(" ", 1)[0]!, bodyBytes]);
      });
    }
    expect(found).toEqual([
      ["GET", 0],
      ["POST", 5],
      ["POST", 5],
      ["GET", 0],
    ]);
  });
});

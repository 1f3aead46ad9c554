import { describe, expect, it } from "vitest";
import { Spoken, sniffFirstBytes } from "./sniff-first-bytes.ts";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

function sniff(text: string): Spoken {
  // What lies behind the bytes that count must not be looked at.
  const bytes = Buffer.from(text + preface, "latin1");
  return sniffFirstBytes(bytes, text.length);
}

describe("sniffFirstBytes", () => {
  it.each([
    ["GET", "GET / HTTP/1.1\r\n", Spoken.Http1],
    ["the first byte of GET", "G", Spoken.Http1],
    ["POST", "POST / HTTP/1.1\r\n", Spoken.Http1],
    ["PUT", "PU", Spoken.Http1],
    ["PROPFIND", "PROPFIND / HTTP/1.1\r\n", Spoken.Http1],
    ["the whole preface", preface, Spoken.Http2],
    ["the preface and a frame", `${preface}\0\0\0\x04\0\0\0\0\0`, Spoken.Http2],
    ["the preface with a wrong end", `${preface.slice(0, -1)}x`, Spoken.Http1],
    ["another version in the preface", "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", Spoken.Http1],
    ["a TLS hello", "\x16\x03\x01\x02\x00\x01", Spoken.Tls],
    ["the first two bytes of a TLS hello", "\x16\x03", Spoken.Tls],
    ["the first byte of a TLS hello", "\x16", Spoken.Undecided],
    ["SYN and something else", "\x16GET", Spoken.Http1],
    ["nothing", "", Spoken.Undecided],
    ["a line end before the request", "\r\nGET / HTTP/1.1\r\n", Spoken.Http1],
  ])("knows %s", (_, text, want) => {
    expect(sniff(text)).toBe(want);
  });

  it("waits for each byte of the preface, and takes whatever differs for HTTP/1", () => {
    for (let length = 1; length < preface.length; length++) {
      expect(sniff(preface.slice(0, length)), `${length} bytes`).toBe(Spoken.Undecided);
      expect(sniff(`${preface.slice(0, length)}~`), `${length} bytes and another`).toBe(Spoken.Http1);
    }
  });
});

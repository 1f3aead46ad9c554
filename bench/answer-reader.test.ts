import { describe, expect, it } from "vitest";
import { AnswerReader } from "./answer-reader.ts";

const answer = (body: string, status = 200) => `HTTP/1.1 ${status} OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("AnswerReader", () => {
  it.each([1, 2, 7, 1_000])("counts answers that arrive %d bytes at a time", (pieceBytes) => {
    const reader = new AnswerReader(5);
    const bytes = Buffer.from(answer("hello") + answer("again"), "latin1");
    let ended = 0;
    for (let at = 0; at < bytes.length; at += pieceBytes) ended += reader.read(bytes.subarray(at, at + pieceBytes));
    expect(ended).toBe(2);
    expect(reader.failed).toBe(0);
    expect(reader.isMidway).toBe(false);
  });

  it("counts another status as failed", () => {
    const reader = new AnswerReader(5);
    reader.read(Buffer.from(answer("sorry", 502)));
    expect(reader.failed).toBe(1);
  });

  it.each(["HTTP/1.1 200", answer("hell")])("says that %j is not a whole answer", (text) => {
    const reader = new AnswerReader(5);
    expect(reader.read(Buffer.from(text))).toBe(0);
    expect(reader.isMidway).toBe(true);
  });
});

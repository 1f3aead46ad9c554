import { describe, expect, it } from "vitest";
import { BodyCursor } from "./body-cursor.ts";
import { Framing } from "./body-framing.ts";

/** What travels on of a text that arrives in pieces of the given size. */
function through(cursor: BodyCursor, text: string, pieceBytes: number): { forwarded: string; used: number } {
  let forwarded = "";
  let at = 0;
  const bytes = Buffer.from(text, "latin1");
  while (at < bytes.length && !cursor.isDone) {
    const next = cursor.read(bytes, at, Math.min(at + pieceBytes, bytes.length));
    if (next < 0) throw new Error(`problem ${-next}`);
    forwarded += cursor.takeTrailers() + bytes.toString("latin1", cursor.forwardStart, cursor.forwardEnd);
    at = next;
  }
  return { forwarded, used: at };
}

describe("BodyCursor", () => {
  it.each([1, 2, 3, 100])("ends each framing where its body ends, read in pieces of %i", (pieceBytes) => {
    const cursor = new BodyCursor();
    cursor.start(Framing.None, 0);
    expect([cursor.isDone, through(cursor, "next", pieceBytes).used]).toEqual([true, 0]);
    cursor.start(Framing.Length, 5);
    expect(through(cursor, "hellonext", pieceBytes)).toEqual({ forwarded: "hello", used: 5 });
    cursor.start(Framing.Chunked, 0);
    cursor.startChunks(false);
    const chunked = "2\r\nhi\r\n0\r\nA: b\r\n\r\n";
    expect(through(cursor, `${chunked}next`, pieceBytes)).toEqual({ forwarded: chunked, used: chunked.length });
    cursor.start(Framing.Chunked, 0);
    cursor.startChunks(true);
    expect(through(cursor, `${chunked}next`, pieceBytes)).toEqual({ forwarded: "hi", used: chunked.length });
    cursor.start(Framing.UntilClose, 0);
    expect(through(cursor, "all of it", pieceBytes)).toEqual({ forwarded: "all of it", used: 9 });
    expect(cursor.isDone).toBe(false);
  });

  it("uses nothing of a message without a body", () => {
    const cursor = new BodyCursor();
    cursor.start(Framing.None, 0);
    expect(cursor.read(Buffer.from("next"), 1, 4)).toBe(1);
    expect(cursor.forwardEnd).toBe(cursor.forwardStart);
  });

  it("says when a body is worth memory of its own", () => {
    const cursor = new BodyCursor();
    const bytes = Buffer.alloc(20_000, "x");
    cursor.start(Framing.Length, 40_000);
    cursor.read(bytes, 0, 20_000);
    expect(cursor.isLarge).toBe(true);
    cursor.read(bytes, 0, 19_000);
    expect(cursor.isLarge).toBe(false);
    cursor.start(Framing.UntilClose, 0);
    cursor.read(bytes, 0, 20_000);
    expect(cursor.isLarge).toBe(true);
  });
});

import { describe, expect, it } from "vitest";
import { PartialHead } from "./partial-head.ts";

const text = (partial: PartialHead) => partial.bytes.toString("latin1", partial.start, partial.end);

describe("PartialHead", () => {
  it("keeps a copy of the pieces in order", () => {
    const partial = new PartialHead();
    const shared = Buffer.from("abcdef");
    partial.add(shared, 0, 3);
    shared.fill(0x78);
    partial.add(Buffer.from("..def.."), 2, 5);
    expect(text(partial)).toBe("abcdef");
  });

  it("is worth another parse only when a line may have ended", () => {
    const partial = new PartialHead();
    expect(partial.add(Buffer.from("GET /"), 0, 5)).toBe(false);
    expect(partial.add(Buffer.from(" HTTP/1.1\r\n"), 0, 11)).toBe(true);
    expect(partial.add(Buffer.from("Host"), 0, 4)).toBe(false);
  });

  it("grows past its first size and starts anew after clear", () => {
    const partial = new PartialHead();
    const piece = Buffer.alloc(1_500, "x");
    for (let i = 0; i < 5; i++) partial.add(piece, 0, piece.length);
    expect(text(partial)).toBe("x".repeat(7_500));
    partial.clear();
    expect(partial.length).toBe(0);
    partial.add(Buffer.from("y"), 0, 1);
    expect(text(partial)).toBe("y");
  });

  it("takes no memory of its own for a small head, and none of others for a large one", () => {
    const heads = Array.from({ length: 32 }, () => new PartialHead());
    const memories = (bytes: number) => {
      for (const head of heads) head.add(Buffer.alloc(bytes, "x"), 0, bytes);
      return new Set(heads.map((head) => head.bytes.buffer)).size;
    };
    expect(memories(100)).toBeLessThan(heads.length / 2);
    expect(memories(413)).toBe(heads.length);
    for (const head of heads) expect(text(head)).toBe("x".repeat(513));
  });

  it("goes on behind what was used, and never over it", () => {
    const partial = new PartialHead();
    partial.add(Buffer.from("first second"), 0, 12);
    const before = partial.bytes;
    partial.useTo(6);
    expect(text(partial)).toBe("second");
    partial.add(Buffer.from(" third"), 0, 6);
    expect(text(partial)).toBe("second third");
    expect(before.toString("latin1", 0, 12)).toBe("first second");
    partial.add(Buffer.alloc(5_000, "x"), 0, 5_000);
    expect(text(partial)).toBe(`second third${"x".repeat(5_000)}`);
    partial.useTo(partial.end);
    expect([partial.length, partial.bytes.length]).toEqual([0, 0]);
  });

  it("uses a little memory again where that is asked for, and never what was lent", () => {
    const partial = new PartialHead();
    partial.add(Buffer.from("first"), 0, 5);
    const before = partial.bytes;
    partial.useTo(partial.end, true);
    partial.add(Buffer.from("second"), 0, 6);
    expect([text(partial), partial.bytes]).toEqual(["second", before]);
    partial.lend();
    partial.useTo(partial.end, true);
    partial.add(Buffer.from("third"), 0, 5);
    expect([text(partial), before.toString("latin1", 0, 6)]).toEqual(["third", "second"]);
    partial.add(Buffer.alloc(5_000, "x"), 0, 5_000);
    partial.useTo(partial.end, true);
    expect(partial.bytes.length).toBe(0);
  });
});

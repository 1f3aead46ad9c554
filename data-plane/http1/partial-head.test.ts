import { describe, expect, it } from "vitest";
import { PartialHead } from "./partial-head.ts";

describe("PartialHead", () => {
  it("keeps a copy of the pieces in order", () => {
    const partial = new PartialHead();
    const shared = Buffer.from("abcdef");
    partial.add(shared, 0, 3);
    shared.fill(0x78);
    partial.add(Buffer.from("..def.."), 2, 5);
    expect(partial.bytes.toString("latin1", 0, partial.length)).toBe("abcdef");
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
    expect(partial.bytes.toString("latin1", 0, partial.length)).toBe("x".repeat(7_500));
    partial.clear();
    expect(partial.length).toBe(0);
    partial.add(Buffer.from("y"), 0, 1);
    expect(partial.bytes.toString("latin1", 0, partial.length)).toBe("y");
  });
});

import { describe, expect, it } from "vitest";
import { hash32 } from "./hash32.ts";

describe("hash32", () => {
  // Of the reference implementation, for the bytes of these texts in UTF-16LE.
  it.each([
    { text: "", want: 0 },
    { text: "\uffff\uffff", want: 0x76293b50 },
    { text: "\u4321\u8765", want: 0xf55b516b },
    { text: "\u4321", want: 0xa0f7b07a },
    { text: "\0\0", want: 0x2362f9de },
    { text: "\0", want: 0x30f4c306 },
  ])("is MurmurHash3 of $text", ({ text, want }) => {
    expect(hash32(text)).toBe(want);
  });

  // Requests go elsewhere when one of these changes.
  it.each([
    { text: "a", want: 0x6f49d11a },
    { text: "10.0.0.1", want: 0xbddddc52 },
    { text: "2001:db8::1", want: 0x3de6e223 },
    { text: "user-4711", want: 0x1bfa7973 },
    { text: "/orders/17?x=ä", want: 0x44d80f7b },
  ])("is the same for ever: $text", ({ text, want }) => {
    expect(hash32(text)).toBe(want);
  });

  it("spreads texts that are nearly the same evenly", () => {
    const counts = Array<number>(100).fill(0);
    for (let i = 0; i < 100_000; i++) counts[Math.floor((hash32(`user-${i}`) / 2 ** 32) * 100)]!++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(160);
  });
});

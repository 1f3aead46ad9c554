import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineRing } from "./line-ring.ts";

const ringBytes = 64;

function textOf(lines: Uint8Array): string {
  return Buffer.from(lines).toString("latin1");
}

describe("LineRing", () => {
  it("lends what was gathered in one piece, in memory that threads share", () => {
    const ring = new LineRing(ringBytes);
    expect(ring.lend()).toBeNull();
    expect([ring.add("one\n"), ring.add("\u00e9\n")]).toEqual([true, true]);
    expect(ring.gatheredBytes).toBe(6);
    const lines = ring.lend()!;
    expect(textOf(lines)).toBe("one\n\u00e9\n");
    expect(lines.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(ring.lend()).toBeNull();
  });

  it("takes as much as it is large, and more only when something is given back", () => {
    const ring = new LineRing(ringBytes);
    for (let i = 0; i < 4; i++) {
      expect(ring.add("x".repeat(16))).toBe(true);
      ring.lend();
    }
    expect(ring.add("y")).toBe(false);
    ring.giveBack(16);
    expect(ring.add("y".repeat(17))).toBe(false);
    expect(ring.add("y".repeat(16))).toBe(true);
    expect(ring.add("y")).toBe(false);
  });

  it("begins anew when everything is given back", () => {
    const ring = new LineRing(ringBytes);
    for (let i = 0; i < 100; i++) {
      expect(ring.add("x".repeat(ringBytes))).toBe(true);
      expect(ring.lend()!.byteOffset).toBe(0);
      ring.giveBack(ringBytes);
    }
  });

  it("refuses a line that it can never hold", () => {
    const ring = new LineRing(ringBytes);
    expect(ring.add("x".repeat(ringBytes + 1))).toBe(false);
    expect(ring.add("x".repeat(ringBytes))).toBe(true);
  });

  it("keeps every line that it took, in order and unchanged until given back, whatever happens when", () => {
    const step = fc.oneof(
      fc.record({ does: fc.constant("add" as const), length: fc.integer({ min: 1, max: ringBytes / 2 }) }),
      fc.record({ does: fc.constantFrom("lend" as const, "giveBack" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ring = new LineRing(ringBytes);
        let gathered = "";
        let lineCount = 0;
        const lent: { readonly lines: Uint8Array; readonly text: string }[] = [];
        for (const each of steps) {
          if (each.does === "add") {
            const line = String.fromCharCode(0x21 + (lineCount++ % 200)).repeat(each.length);
            const isEmpty = gathered === "" && lent.length === 0;
            if (ring.add(line)) gathered += line;
            else expect(isEmpty).toBe(false);
          } else if (each.does === "lend") {
            const lines = ring.lend();
            expect(lines === null).toBe(gathered === "");
            if (lines !== null) lent.push({ lines, text: gathered });
            gathered = "";
          } else {
            const first = lent.shift();
            if (first !== undefined) ring.giveBack(first.text.length);
          }
          expect(ring.gatheredBytes).toBe(gathered.length);
          for (const { lines, text } of lent) expect(textOf(lines)).toBe(text);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

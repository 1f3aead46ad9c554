import { describe, expect, it } from "vitest";
import { FieldLines, scanFieldLines } from "./field-lines.ts";

const lines = new FieldLines(10);
/** What is read in as many bytes as one read can bring is looked at in words, in less byte by byte. */
const large = Buffer.allocUnsafeSlow(131_072);

function scanned(memory: Buffer, start: number, text: Buffer) {
  text.copy(memory, start);
  const result = scanFieldLines(lines, memory, start, start + text.length);
  const end = result > 0 ? result - start : result;
  if (result <= 0) return { end };
  return { end, count: lines.count, value: [lines.valueStart[0]! - start, lines.valueEnd[0]! - start] };
}

describe("scanFieldLines", () => {
  it("reads the same in words as byte by byte: every byte, at every place of a value, however it lies in memory", () => {
    let differences = 0;
    let refused = 0;
    for (let byte = 0; byte < 256; byte++) {
      for (let length = 1; length < 14; length++) {
        for (let place = 0; place < length; place++) {
          const value = Buffer.alloc(length, "v");
          value[place] = byte;
          const text = Buffer.concat([Buffer.from("n: "), value, Buffer.from("\r\n\r\n")]);
          const start = 64 + ((byte + length + place) & 3);
          const inWords = scanned(large, start, text);
          const byByte = scanned(Buffer.alloc(text.length + start), start, text);
          if (inWords.end < 0) refused++;
          if (JSON.stringify(inWords) !== JSON.stringify(byByte)) differences++;
        }
      }
    }
    expect(differences).toBe(0);
    // Control bytes but HTAB, and DEL: LF and CR alone, too, and CR as the last byte makes a line end of CR CR LF.
    expect(refused).toBe(32 * ((13 * 14) / 2));
  });

  it("asks for more wherever a head is cut, in words as byte by byte", () => {
    const text = Buffer.from("name: some value that is longer than a word\r\n\r\n");
    for (let length = 0; length < text.length; length++) {
      for (const memory of [large, Buffer.alloc(text.length)]) {
        expect(scanned(memory, 0, text.subarray(0, length)).end).toBe(0);
      }
    }
  });
});

import { describe, expect, it } from "vitest";
import { jsonText, linesText, oneLine, printable } from "./printable.ts";

/** Each with what stands in its place. */
const acted = [
  ...["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\x9d"].map((char) => ({ char, instead: "?" })),
  ...["\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"].map((char) => ({ char, instead: "?" })),
  ...["\t", "\n", "\r", "\u2028", "\u2029"].map((char) => ({ char, instead: " " })),
].map((one) => ({ ...one, name: JSON.stringify(one.char + one.char.charCodeAt(0).toString(16)) }));

describe("printable", () => {
  it.each(acted)("replaces $name", ({ char, instead }) => {
    expect(printable(`  a${char}b  `)).toBe(`  a${instead}b  `);
    expect(linesText([`a${char}`, "b"])).toBe(`a${instead}\nb\n`);
    expect(oneLine(`a${char} ${char}b`, 10)).toBe("a b");
    const json = jsonText({ [char]: [char] }, 2);
    const raw = json.replaceAll("\n", "");
    expect([printable(raw), JSON.parse(json)]).toEqual([raw, { [char]: [char] }]);
  });

  it("leaves letters of all scripts, and what joins them, as they are", () => {
    const text = "ä ש 日本 می‌خواهم 👩‍💻";
    expect([printable(text), oneLine(text, 100), JSON.parse(jsonText(text))]).toEqual([text, text, text]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkScanner } from "./chunk-scanner.ts";
import { headProblem } from "./head-problem.ts";

interface Scanned {
  readonly forwarded: string;
  /** Bytes after the body's end. */
  readonly rest: string;
  readonly outcome: "done" | "open" | string;
}

/** Scans the text cut at the given places, as separate reads would bring it. */
function scan(text: string, cuts: readonly number[] = [], decodes = false): Scanned {
  const scanner = new ChunkScanner();
  scanner.start(decodes, ["x-dropped"]);
  const bytes = Buffer.from(text, "latin1");
  const places = [...new Set(cuts.filter((cut) => cut > 0 && cut < bytes.length))].sort((a, b) => a - b);
  let forwarded = "";
  let at = 0;
  for (const end of [...places, bytes.length]) {
    while (at < end && !scanner.isDone) {
      const next = scanner.scan(bytes, at, end);
      if (next < 0) return { forwarded, rest: "", outcome: headProblem(next).name };
      if (next === at) throw new Error("no byte was read");
      forwarded += scanner.takeTrailers() + bytes.toString("latin1", scanner.forwardStart, scanner.forwardEnd);
      at = next;
    }
  }
  return { forwarded, rest: bytes.toString("latin1", at), outcome: scanner.isDone ? "done" : "open" };
}

const bodies: [name: string, text: string, forwarded: string, decoded: string][] = [
  ["one chunk", "3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc"],
  ["no chunk", "0\r\n\r\n", "0\r\n\r\n", ""],
  [
    "hexadecimal sizes",
    "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
    "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
    "01234567890123456789a",
  ],
  ["leading zeros", "003\r\nabc\r\n000\r\n\r\n", "003\r\nabc\r\n000\r\n\r\n", "abc"],
  ["CRLF as content", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"],
  ["extensions", '3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n', "3\r\nabc\r\n0\r\n\r\n", "abc"],
  ["trailers", "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", "a"],
  [
    "trailers that may not come there",
    "0\r\nContent-Length: 9\r\nA: 1\r\nTransfer_Encoding: chunked\r\nhost: b\r\nAUTHORIZATION: c\r\nx-dropped: d\r\n\r\n",
    "0\r\nA: 1\r\n\r\n",
    "",
  ],
];

const broken: [name: string, text: string, problem: string][] = [
  ["no size", "\r\n\r\n", "chunk_size"],
  ["a sign", "+3\r\nabc\r\n", "chunk_size"],
  ["a minus", "-3\r\nabc\r\n", "chunk_size"],
  ["a prefix", "0x3\r\nabc\r\n", "chunk_size"],
  ["a space before the size", " 3\r\nabc\r\n", "chunk_size"],
  ["a space after the size", "3 \r\nabc\r\n", "chunk_size"],
  ["a size that overflows", "10000000000000000\r\n", "chunk_size"],
  ["endless zeros", "0".repeat(100), "chunk_size"],
  ["a bare LF after the size", "3\nabc\r\n", "chunk_size"],
  ["a bare CR after the size", "3\rabc\r\n", "chunk_end"],
  ["a bare LF after an extension", "3;a\nabc\r\n", "chunk_extension"],
  ["a NUL in an extension", "3;a\0\r\nabc\r\n", "chunk_extension"],
  ["a flood of extensions", `3;${"a".repeat(70_000)}\r\nabc\r\n`, "chunk_extension"],
  ["a flood of small extensions", `${"1;aaaaaaaa\r\nx\r\n".repeat(200)}`, "chunk_extension"],
  ["no CRLF after a chunk", "3\r\nabc0\r\n\r\n", "chunk_end"],
  ["a longer chunk than said", "3\r\nabcd\r\n", "chunk_end"],
  ["a bare LF after a chunk", "3\r\nabc\n0\r\n\r\n", "chunk_end"],
  ["a folded trailer", "0\r\nX: a\r\n b\r\n\r\n", "trailer"],
  ["a trailer without colon", "0\r\nX\r\n\r\n", "trailer"],
  ["a space before a trailer's colon", "0\r\nX : a\r\n\r\n", "trailer"],
  ["a NUL in a trailer", "0\r\nX: \0\r\n\r\n", "trailer"],
  ["a bare LF after a trailer", "0\r\nX: a\n\r\n", "trailer"],
  ["a bare LF at the end", "0\r\n\n", "trailer"],
  ["a bare CR at the end", "0\r\n\rGET", "chunk_end"],
  ["a flood of trailers", `0\r\n${"X: yyyyyyyyyy\r\n".repeat(33)}\r\n`, "trailer_too_large"],
  ["a trailer that is too long", `0\r\nX: ${"y".repeat(8_200)}\r\n\r\n`, "trailer_too_large"],
];

describe("ChunkScanner", () => {
  it.each(bodies)("forwards %s without what concerns this hop", (_, text, forwarded) => {
    expect(scan(`${text}GET /next`)).toEqual({ forwarded, rest: "GET /next", outcome: "done" });
  });

  it.each(bodies)("decodes %s when asked to", (_, text, __, decoded) => {
    expect(scan(`${text}GET /next`, [], true)).toEqual({ forwarded: decoded, rest: "GET /next", outcome: "done" });
  });

  it.each([...bodies, ...broken].map(([name, text]) => [name, text] as const))(
    "sees the same in %s wherever it is cut",
    (_, text) => {
      const whole = scan(text);
      const step = 1 + Math.trunc(text.length / 500);
      for (let cut = 1; cut < text.length; cut += step) expect(scan(text, [cut]).outcome).toBe(whole.outcome);
      for (let cut = 1; cut < text.length; cut += step) {
        if (whole.outcome === "done") expect(scan(text, [cut])).toEqual(whole);
      }
      const everywhere = Array.from({ length: text.length }, (_, index) => index);
      expect(scan(text, everywhere).outcome).toBe(whole.outcome);
    },
  );

  it.each(broken)("refuses %s", (_, text, problem) => {
    expect(scan(text).outcome).toBe(problem);
  });

  it("is open until the last byte", () => {
    for (const [, text] of bodies) {
      for (let length = 1; length < text.length; length++) expect(scan(text.slice(0, length)).outcome).toBe("open");
    }
  });

  it("forwards any chunking of any content whole, through any cuts", () => {
    const chunk = fc.string({ minLength: 1, maxLength: 40, unit: "binary-ascii" });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 12 }), (chunks, cuts) => {
        const text = `${chunks.map((each) => `${each.length.toString(16)}\r\n${each}\r\n`).join("")}0\r\n\r\n`;
        expect(scan(`${text}rest`, cuts)).toEqual({ forwarded: text, rest: "rest", outcome: "done" });
        expect(scan(text, cuts, true)).toEqual({ forwarded: chunks.join(""), rest: "", outcome: "done" });
      }),
    );
  });
});

import { joined, partsOf, spliced } from "./message-parts.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

const hasFields = (text: string): boolean => partsOf(text).lines.length > 0;
const hasFreeFields = (text: string): boolean => partsOf(text).lines.some(isFree);
/** Not one of those that may come once only. */
const isFree = (line: string): boolean => !/^(?:host|content-length|transfer-encoding)\b/i.test(line);

/** Lines that are harmless, hop-by-hop, aliases, or attacks, depending on where they come. */
const dictionary = [
  "X: y",
  "X:",
  "Connection: close",
  "Connection: keep-alive, X",
  "Connection: content-length",
  "Connection: host",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: xchunked",
  "transfer_encoding: chunked",
  "Content-Length: 0",
  "Content-Length: 5",
  "content_length: 5",
  "TE: trailers",
  "Trailer: X",
  "Expect: 100-continue",
  "Expect: x",
  "Keep-Alive: timeout=5",
  "Proxy: x",
  "X-Forwarded-For: 6.6.6.6",
  "X_Forwarded_For: 6.6.6.6",
  "Host: b.test",
  "Accept: text/html",
  "Via: 1.1 x",
  "Range: bytes=0-",
  "Cookie: a=b",
];

/** Changes of the field lines, for requests and answers alike. */
export const fieldOperators: readonly Operator[] = [
  {
    name: "duplicate a field",
    canStayLegal: true,
    appliesTo: hasFreeFields,
    mutate: (text, random) =>
      withLines(text, (lines) => lines.splice(random.below(lines.length + 1), 0, lines[anyOf(lines, random)]!)),
  },
  {
    name: "reorder fields",
    canStayLegal: true,
    appliesTo: hasFields,
    mutate: (text, random) =>
      withLines(text, (lines) => lines.push(...lines.splice(random.below(lines.length), 1 + random.below(3)))),
  },
  {
    name: "drop a field",
    canStayLegal: true,
    appliesTo: hasFreeFields,
    mutate: (text, random) => withLines(text, (lines) => lines.splice(anyOf(lines, random), 1)),
  },
  {
    name: "add a field",
    canStayLegal: true,
    mutate: (text, random) =>
      withLines(text, (lines) => lines.splice(random.below(lines.length + 1), 0, random.pick(dictionary))),
  },
  {
    name: "take a field of another message",
    canStayLegal: true,
    mutate: (text, random, others) =>
      withLines(text, (lines) => {
        let from = partsOf(random.pick(others)).lines;
        while (!from.some(isFree)) from = partsOf(random.pick(others)).lines;
        lines.splice(random.below(lines.length + 1), 0, from[anyOf(from, random)]!);
      }),
  },
  {
    name: "split a field",
    canStayLegal: false,
    appliesTo: hasFields,
    mutate: (text, random) =>
      changedLine(text, random, (line) =>
        spliced(line, random.below(line.length), 0, "").replace(/.(?=.*:|$)/, "$&\r\n"),
      ),
  },
  {
    name: "white space around a value",
    canStayLegal: true,
    appliesTo: hasFields,
    mutate(text, random) {
      const white = random.pick([" ", "\t", "  ", " \t", "\t\t "]);
      return changedLine(text, random, (line) => {
        const colon = line.indexOf(":");
        return spliced(line, ...place(random, colon, line.length), white);
      });
    },
  },
  {
    name: "a longer value",
    canStayLegal: true,
    appliesTo: hasFreeFields,
    mutate: (text, random) =>
      changedLine(
        text,
        random,
        (line) => line + random.pick(["a", ",b", ";q=1", " x", "\xe4"]).repeat(random.below(600)),
      ),
  },
  {
    name: "a name in other case",
    canStayLegal: true,
    appliesTo: hasFields,
    mutate: (text, random) =>
      changedLine(text, random, (line) =>
        line.replace(/^[^:]*/, (name) => (random.below(2) === 0 ? name.toUpperCase() : name.toLowerCase())),
      ),
  },
];

/** Index of a line, mostly of one that may change. */
function anyOf(lines: readonly string[], random: SeededRandom): number {
  const free = [...lines.keys()].filter((index) => isFree(lines[index]!));
  return free.length === 0 || random.below(5) === 0 ? random.below(lines.length) : random.pick(free);
}

/** Right after the colon, at the end, or, rarely, before the colon. */
function place(random: SeededRandom, colon: number, length: number): [number, number] {
  const at = random.pick([colon + 1, colon + 1, length, length, colon]);
  return [at, at];
}

function withLines(text: string, change: (lines: string[]) => void): string {
  const parts = partsOf(text);
  const lines = [...parts.lines];
  change(lines);
  return joined({ ...parts, lines });
}

function changedLine(text: string, random: SeededRandom, change: (line: string) => string): string {
  return withLines(text, (lines) => {
    const at = anyOf(lines, random);
    lines[at] = change(lines[at]!);
  });
}

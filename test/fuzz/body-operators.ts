import { joined, partsOf, spliced } from "./message-parts.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

const lengthLine = /^content-length:[ \t]*(\d+)[ \t]*$/i;
const isChunked = (text: string): boolean => /^transfer-encoding:[ \t]*chunked/im.test(text);
const hasLength = (text: string): boolean => partsOf(text).lines.some((line) => lengthLine.test(line));

/** Changes of framing and of bodies, for requests and answers alike. */
export const bodyOperators: readonly Operator[] = [
  {
    name: "change a length a little",
    canStayLegal: true,
    appliesTo: hasLength,
    mutate: (text, random) => withLength(text, (length) => String(Math.max(0, length + random.below(7) - 4))),
  },
  {
    name: "spell a length otherwise",
    canStayLegal: false,
    appliesTo: hasLength,
    mutate: (text, random) =>
      withLength(text, (length) =>
        random.pick([
          `+${length}`,
          `-${length}`,
          `0${length}`,
          `0x${length.toString(16)}`,
          `${length},${length}`,
          `${length} ${length}`,
          `${length}.0`,
          `${2n ** 64n + BigInt(length)}`,
          `${2 ** 32 + length}`,
          "",
        ]),
      ),
  },
  {
    name: "say framing again",
    canStayLegal: false,
    appliesTo: (text) => isChunked(text) || hasLength(text),
    mutate(text, random) {
      const parts = partsOf(text);
      const line = random.pick(["Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked"]);
      return joined({ ...parts, lines: random.below(2) === 0 ? [line, ...parts.lines] : [...parts.lines, line] });
    },
  },
  {
    name: "change a chunk size",
    canStayLegal: false,
    appliesTo: isChunked,
    mutate: (text, random) =>
      withChunkSize(text, random, (size) => {
        const value = Number.parseInt(size, 16);
        return random.pick([
          (value + 1).toString(16),
          `${value}`,
          `+${size}`,
          `0x${size}`,
          ` ${size}`,
          `${size} `,
          `${2n ** 64n + BigInt(value)}`,
          `1${"0".repeat(15)}${size}`,
          `-${size}`,
          "",
        ]);
      }),
  },
  {
    name: "spell a chunk size otherwise",
    canStayLegal: true,
    appliesTo: isChunked,
    mutate: (text, random) =>
      withChunkSize(text, random, (size) =>
        random.pick([
          `0${size}`,
          `000${size}`,
          size.toUpperCase(),
          `${size};a`,
          `${size};a=b;c="d"`,
          `${size};${"e".repeat(100)}`,
        ]),
      ),
  },
  {
    name: "add a chunk",
    canStayLegal: true,
    appliesTo: isChunked,
    mutate(text, random) {
      const parts = partsOf(text);
      const content = random.pick(["a", "\r\n", "0\r\n\r\n", "GET /smuggled HTTP/1.1\r\n\r\n"]);
      return joined({ ...parts, body: `${content.length.toString(16)}\r\n${content}\r\n${parts.body}` });
    },
  },
  {
    name: "add a trailer",
    canStayLegal: true,
    appliesTo: isChunked,
    mutate(text, random) {
      const lines = [
        "X: y",
        "Content-Length: 5",
        "Host: b.test",
        "X-Forwarded-For: 6.6.6.6",
        "Transfer_Encoding: chunked",
        "X : y",
        "Digest: z",
      ];
      const at = text.lastIndexOf("\r\n\r\n") + 2;
      return spliced(text, at, at, `${random.pick(lines)}\r\n`);
    },
  },
  {
    name: "take the body of another message",
    canStayLegal: false,
    mutate: (text, random, others) => joined({ ...partsOf(text), body: partsOf(random.pick(others)).body }),
  },
];

function withLength(text: string, spell: (length: number) => string): string {
  const parts = partsOf(text);
  const lines = parts.lines.map((line) => {
    const match = lengthLine.exec(line);
    return match === null ? line : `Content-Length: ${spell(Number(match[1]))}`;
  });
  return joined({ ...parts, lines });
}

function withChunkSize(text: string, random: SeededRandom, spell: (size: string) => string): string {
  const parts = partsOf(text);
  const sizes = [...parts.body.matchAll(/(?<=^|\r\n)([0-9A-Fa-f]+)(?=[;\r])/g)];
  if (sizes.length === 0) return text;
  const size = random.pick(sizes);
  return joined({ ...parts, body: spliced(parts.body, size.index, size.index + size[1]!.length, spell(size[1]!)) });
}

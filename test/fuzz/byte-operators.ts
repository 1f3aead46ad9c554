import { spliced } from "./message-parts.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

const byte = (code: number): string => String.fromCharCode(code & 0xff);
/** Bytes that some reader treats as special. */
const special = [
  "\0",
  "\t",
  "\n",
  "\x0b",
  "\x0c",
  "\r",
  " ",
  '"',
  "%",
  ",",
  ".",
  "/",
  ":",
  ";",
  "\\",
  "_",
  "\x7f",
  "\x85",
  "\xa0",
  "\xff",
];

/** Mostly bytes that may stand nearly anywhere. */
const harmless = [..."abcxyzABCXYZ0123459-._~", ...' \t:,;%/"(){}@'];

/** Changes that know nothing of HTTP, for requests and answers alike. */
export const byteOperators: readonly Operator[] = [
  {
    name: "flip a low bit",
    canStayLegal: true,
    mutate(text, random) {
      const at = place(text, random);
      return spliced(text, at, at + 1, byte(text.charCodeAt(at) ^ (1 << random.below(4))));
    },
  },
  {
    name: "flip a high bit",
    canStayLegal: false,
    mutate(text, random) {
      const at = random.below(text.length);
      return spliced(text, at, at + 1, byte(text.charCodeAt(at) ^ (0x10 << random.below(4))));
    },
  },
  {
    name: "replace a byte",
    canStayLegal: true,
    mutate(text, random) {
      const at = place(text, random);
      return spliced(text, at, at + 1, random.pick(harmless));
    },
  },
  {
    name: "insert a special byte",
    canStayLegal: false,
    mutate(text, random) {
      const at = random.below(text.length);
      return spliced(text, at, at, random.pick(special));
    },
  },
  {
    name: "delete a byte",
    canStayLegal: true,
    mutate(text, random) {
      const at = place(text, random);
      return spliced(text, at, at + 1, "");
    },
  },
  {
    name: "repeat a run of bytes",
    canStayLegal: true,
    mutate(text, random) {
      const at = place(text, random);
      const run = text.slice(at, at + 1 + random.below(8));
      return spliced(text, at, at, run.repeat(1 + random.below(3)));
    },
  },
  {
    name: "change a line end",
    canStayLegal: false,
    mutate(text, random) {
      // Half of them after a field line that travels on: there a reader that takes it would pass it on.
      const ends = [...text.matchAll(random.below(2) === 0 ? /\r\n/g : /(?<=\r\n(?!host|content-l|transf).+)\r\n/gi)];
      const at = ends.length === 0 ? text.indexOf("\r\n") : random.pick(ends).index;
      return spliced(
        text,
        at,
        at + 2,
        random.pick(["\n", "\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", "\n\n", " \r\n", "\x0b", "\x85", ""]),
      );
    },
  },
  {
    name: "cut the end off",
    canStayLegal: false,
    mutate: (text, random) => text.slice(0, random.below(text.length)),
  },
  {
    name: "change case",
    canStayLegal: true,
    mutate(text, random) {
      const at = random.below(text.length);
      const run = text.slice(at, at + 1 + random.below(12));
      return spliced(text, at, at + run.length, swappedCase(run));
    },
  },
];

/** Mostly after the start line and not in a line end: of those hardly a byte can change without breaking all. */
function place(text: string, random: SeededRandom): number {
  if (random.below(8) === 0) return random.below(text.length);
  const lineEnd = text.indexOf("\r\n", 2);
  const places = [...text].flatMap((char, at) => (at > lineEnd && char !== "\r" && char !== "\n" ? [at] : []));
  return places.length === 0 ? random.below(text.length) : random.pick(places);
}

function swappedCase(text: string): string {
  return text.replaceAll(/[A-Za-z]/g, (letter) => byte(letter.charCodeAt(0) ^ 0x20));
}

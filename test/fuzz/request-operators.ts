import { bodyOperators } from "./body-operators.ts";
import { byteOperators } from "./byte-operators.ts";
import { fieldOperators } from "./field-operators.ts";
import { joined, partsOf, spliced } from "./message-parts.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

const legalPathPieces = ["/./", "//", "/../", "/%2e/", "/%2E%2e/", "%41", "%7e", "%c3%a9", "/a/", ";v=1", "%3f"];
const doubtfulPathPieces = [
  "%2f",
  "%5c",
  "\\",
  "%00",
  "%",
  "%zz",
  "/..;/",
  "/;/",
  "%c0%af",
  "%e0%80%ae",
  "/..%3b/",
  "#",
  " ",
  "\xe4",
];

/** Changes of what only requests have. */
const requestOnly: readonly Operator[] = [
  {
    name: "other spellings of a path",
    canStayLegal: true,
    mutate: (text, random) => withTarget(text, random, legalPathPieces),
  },
  {
    name: "doubtful spellings of a path",
    canStayLegal: false,
    mutate: (text, random) => withTarget(text, random, doubtfulPathPieces),
  },
  {
    name: "another method",
    canStayLegal: true,
    mutate: (text, random) =>
      withStartLine(text, (line) =>
        line.replace(
          /^\S+/,
          random.pick([
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "DELETE",
            "OPTIONS",
            "PATCH",
            "PROPFIND",
            "get",
            "TRACE",
            "CONNECT",
            "BREW",
          ]),
        ),
      ),
  },
  {
    name: "another version",
    canStayLegal: true,
    mutate: (text, random) =>
      withStartLine(text, (line) =>
        line.replace(
          /HTTP\/.*$/,
          random.pick(["HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/1.1 "]),
        ),
      ),
  },
  {
    name: "absolute-form",
    canStayLegal: true,
    mutate: (text, random) =>
      withStartLine(text, (line) =>
        line.replace(
          / \//,
          ` ${random.pick(["http://b.test", "HTTP://a.test:80", "http://[::1]", "https://a.test", "http://u@a.test"])}/`,
        ),
      ),
  },
  {
    name: "two requests in one piece",
    canStayLegal: true,
    mutate: (text, random, others) => text + random.pick(others),
  },
  {
    name: "an empty line before",
    canStayLegal: true,
    mutate: (text, random) => random.pick(["\r\n", "\r\n", "\r\n", "\n", "\r\n\r\n"]) + text,
  },
];

export const requestOperators: readonly Operator[] = [
  ...byteOperators,
  ...fieldOperators,
  ...bodyOperators,
  ...requestOnly,
];

function withStartLine(text: string, change: (line: string) => string): string {
  const parts = partsOf(text);
  return joined({ ...parts, startLine: change(parts.startLine) });
}

/** A piece put into the path, at a place that is not within an escape. */
function withTarget(text: string, random: SeededRandom, pieces: readonly string[]): string {
  return withStartLine(text, (line) => {
    const start = line.indexOf(" /") + 1;
    const path = /^[^? ]*/.exec(line.slice(start))![0];
    const places = [...path].map((_, at) => at + 1).filter((at) => !/%.?$/.test(path.slice(0, at)));
    const at = start + random.pick(places.length === 0 ? [1] : places);
    return spliced(line, at, at, random.pick(pieces));
  });
}

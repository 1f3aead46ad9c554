import { bodyOperators } from "./body-operators.ts";
import { byteOperators } from "./byte-operators.ts";
import { fieldOperators } from "./field-operators.ts";
import type { Operator } from "./operator.ts";

/** Mostly such as may come with any body. */
const statuses = "100 101 103 199 200 201 204 205 206 301 304 400 404 409 418 429 500 503 599 000 2000".split(" ");

const responseOnly: readonly Operator[] = [
  {
    name: "another status",
    canStayLegal: true,
    mutate: (text, random) => text.replace(/(?<=^HTTP\/1\.[01] )\d+/, random.pick(statuses)),
  },
  {
    name: "another version",
    canStayLegal: true,
    mutate: (text, random) =>
      text.replace(
        /^HTTP\/1\.[01]/,
        random.pick(["HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/1.1", "HTTP/1.2", "HTTP/2", "http/1.1"]),
      ),
  },
  {
    name: "interim answers before",
    canStayLegal: true,
    mutate: (text, random) =>
      `HTTP/1.1 ${random.pick(["100", "102", "103"])} Wait\r\nX: y\r\n\r\n`.repeat(1 + random.below(20)) + text,
  },
  {
    name: "another answer after",
    canStayLegal: true,
    mutate: (text) => `${text}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled`,
  },
];

export const responseOperators: readonly Operator[] = [
  ...byteOperators,
  ...fieldOperators,
  ...bodyOperators,
  ...responseOnly,
];

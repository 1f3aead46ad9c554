/**
 * A second reader of HTTP/1.1, written to judge what the engine lets through: whole texts and regular expressions
 * instead of one pass over bytes, and it knows only the one spelling that the engine may write.
 */

export interface StrictMessage {
  readonly startLine: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Start line to empty line, as it came. */
  readonly head: string;
  /** The body as it came, in its framing. */
  readonly framedBody: string;
  readonly body: string;
}

export interface StrictReading {
  readonly messages: readonly StrictMessage[];
  /** What follows the last whole message. */
  readonly rest: string;
  /** Why the rest can never be a message; null when it may still become one. */
  readonly problem: string | null;
}

export interface AnswerFacts {
  /** Methods of the requests, in order, for as long as they are known. */
  readonly methods?: readonly string[];
  /** The connection has ended: a body without length is whole. */
  readonly isClosed?: boolean;
}

const requestLine = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|[A-Z][A-Z-]{1,15}) \/[\x21\x22\x24-\x7e]* HTTP\/1\.1$/;
const statusLine = /^HTTP\/1\.1 [1-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*$/;
const hostValue = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?$/;
/** A path that another reader would take for another one. The query is free. */
const doubtfulPath = /\\|%00|%2f|%5c|%c[01]|%(?![0-9a-f]{2})|\/\/|\/\.{1,2}(?:\/|$)|\/\.{0,2}(?:;|%3b)/i;

export function readRequests(text: string): StrictReading {
  return readAll(text, (head) => {
    const line = head.startLine;
    if (!requestLine.test(line)) return `request line ${JSON.stringify(line)}`;
    const path = line.split(" ")[1]!.split("?")[0]!;
    if (doubtfulPath.test(path)) return `path ${path}`;
    const hosts = valuesOf(head, "host");
    if (hosts.length !== 1 || !hostValue.test(hosts[0]!)) return `hosts ${JSON.stringify(hosts)}`;
    return null;
  });
}

export function readAnswers(text: string, facts: AnswerFacts = {}): StrictReading {
  let finals = 0;
  return readAll(
    text,
    (head) => (statusLine.test(head.startLine) ? null : `status line ${JSON.stringify(head.startLine)}`),
    (head) => {
      const status = Number(head.startLine.slice(9, 12));
      if (status < 200) return "none";
      const method = facts.methods?.[finals++] ?? "GET";
      if (method === "HEAD" || status === 204 || status === 304) return "none";
      if (valuesOf(head, "content-length").length > 0 || valuesOf(head, "transfer-encoding").length > 0) return "said";
      return facts.isClosed === true ? "rest" : "unknown";
    },
  );
}

/** The values of a field, by its name in lower case. */
export function valuesOf(message: Pick<StrictMessage, "fields">, lowerName: string): string[] {
  return message.fields.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
}

type Head = Pick<StrictMessage, "startLine" | "fields" | "head">;
type BodyRule = "said" | "none" | "rest" | "unknown";

function readAll(
  text: string,
  judge: (head: Head) => string | null,
  ruleOf: (head: Head) => BodyRule = () => "said",
): StrictReading {
  const messages: StrictMessage[] = [];
  let rest = text;
  for (;;) {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd < 0)
      return {
        messages,
        rest,
        problem: /[^\t\n\r\x20-\x7e\x80-\xff]|(?<!\r)\n|\r(?=[^\n])/.test(rest) ? "a forbidden byte" : null,
      };
    const head = readHead(rest.slice(0, headEnd + 4));
    const problem = typeof head === "string" ? head : (judge(head) ?? framingProblem(head));
    if (problem !== null || typeof head === "string") return { messages, rest, problem };
    const body = readBody(head, rest.slice(headEnd + 4), ruleOf(head));
    if (body === null) return { messages, rest, problem: null };
    if (typeof body === "string") return { messages, rest, problem: body };
    messages.push({ ...head, framedBody: body.framed, body: body.content });
    rest = rest.slice(headEnd + 4 + body.framed.length);
  }
}

function readHead(head: string): Head | string {
  const [startLine = "", ...lines] = head.slice(0, -4).split("\r\n");
  const fields: (readonly [string, string])[] = [];
  for (const line of lines) {
    const match = fieldLine.exec(line);
    if (match === null) return `field line ${JSON.stringify(line.slice(0, 80))}`;
    fields.push([match[1]!, match[2]!]);
  }
  return { startLine, fields, head };
}

const managed = new Set(
  ["host", "content-length", "transfer-encoding", "x-real-ip", "x-kong-request-id"].concat(
    ["for", "proto", "host", "port", "path", "prefix"].map((what) => `x-forwarded-${what}`),
  ),
);

function framingProblem(head: Head): string | null {
  const lengths = valuesOf(head, "content-length");
  const codings = valuesOf(head, "transfer-encoding");
  if (lengths.length + codings.length > 1) return "framing said twice";
  if (lengths.some((length) => !/^(?:0|[1-9]\d{0,14})$/.test(length))) return `length ${lengths[0]}`;
  if (codings.some((coding) => coding !== "chunked")) return `coding ${codings[0]}`;
  // An alias that a CGI-like server would take for framing or for one of our own lines.
  const alias = head.fields.find(
    ([name]) => name.includes("_") && managed.has(name.replaceAll("_", "-").toLowerCase()),
  );
  return alias === undefined ? null : `alias ${alias[0]}`;
}

/** @returns null when more bytes are needed; a text when no bytes could help */
function readBody(head: Head, text: string, rule: BodyRule): { framed: string; content: string } | null | string {
  if (rule === "none") return { framed: "", content: "" };
  if (rule === "rest") return { framed: text, content: text };
  if (rule === "unknown") return null;
  if (valuesOf(head, "transfer-encoding").length > 0) return readChunks(text);
  const length = Number(valuesOf(head, "content-length")[0] ?? 0);
  return text.length < length ? null : { framed: text.slice(0, length), content: text.slice(0, length) };
}

/** Trailers that a target must never be told after the fact. */
const forbiddenTrailer =
  /^(?:content-length|transfer-encoding|host|connection|trailer|te|upgrade|expect|authorization|cookie|set-cookie|content-type|content-encoding|content-range|x-forwarded-\w+|x-real-ip):/im;

function readChunks(text: string): { framed: string; content: string } | null | string {
  let at = 0;
  let content = "";
  for (;;) {
    const size = /^([0-9A-Fa-f]{1,13})\r\n/.exec(text.slice(at, at + 16));
    if (size === null) return /^[0-9A-Fa-f]{0,13}\r?$/.test(text.slice(at)) ? null : "chunk size";
    const length = Number.parseInt(size[1]!, 16);
    const start = at + size[0].length;
    if (length === 0) return readTrailers(text, start, content);
    if (text.length < start + length + 2) return null;
    if (text.slice(start + length, start + length + 2) !== "\r\n") return "chunk end";
    content += text.slice(start, start + length);
    at = start + length + 2;
  }
}

function readTrailers(
  text: string,
  start: number,
  content: string,
): { framed: string; content: string } | null | string {
  if (text.startsWith("\r\n", start)) return { framed: text.slice(0, start + 2), content };
  const end = text.indexOf("\r\n\r\n", start);
  if (end < 0) return null;
  const lines = text.slice(start, end);
  if (lines.split("\r\n").some((line) => !fieldLine.test(line))) return "trailer line";
  return forbiddenTrailer.test(lines) ? "forbidden trailer" : { framed: text.slice(0, end + 4), content };
}

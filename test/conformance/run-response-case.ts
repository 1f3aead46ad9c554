import { type RawExchange, rawExchange } from "./raw-exchange.ts";
import type { Delivery, ResponseCase } from "./response-case.ts";
import type { ScriptedBackend } from "./scripted-backend.ts";
import { readAnswers, type StrictMessage } from "./strict-reader.ts";

export interface ResponseBench {
  /** Of the proxy. */
  readonly port: number;
  readonly backend: ScriptedBackend;
}

const next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

/**
 * Has the target send one answer and says what was wrong with what the client saw of it, and of the answer to
 * its next request on the same connection. The proxy must have no other traffic meanwhile.
 */
export async function runResponseCase(bench: ResponseBench, one: ResponseCase): Promise<string[]> {
  const { backend } = bench;
  backend.play(one);
  const method = one.method ?? "GET";
  const isOld = one.version === "1.0";
  const request = `${method} /case HTTP/${one.version ?? "1.1"}\r\nHost: a.test\r\n\r\n`;
  // Sent at once: an answer too many would be taken for the answer to /next.
  const exchange = await rawExchange(bench.port, isOld ? request : request + next, {
    isEnough: (text) =>
      !isOld && readAnswers(text, { methods: [method] }).messages.some((answer) => answer.body === "/next"),
  });
  const reading = readAnswers(exchange.text, { methods: [method], isClosed: exchange.end === "end" });
  const finals = reading.messages.filter((message) => !message.startLine.startsWith("HTTP/1.1 1"));
  const failures = judge(one, exchange, finals);
  if (reading.problem !== null) failures.push(`dangerous: ${reading.problem}`);
  if (exchange.text.includes("smuggled")) failures.push("dangerous: bytes after the answer were delivered");
  if (!backend.asked.has("/next")) await rawExchange(bench.port, next, { isEnough: (text) => text.endsWith("/next") });
  const isReused = backend.played.has(backend.asked.get("/next") ?? 0);
  const mayReuse = typeof one.want === "object" && one.want.isReused !== false;
  if (isReused && !mayReuse) failures.push("dangerous: the target's connection was used again");
  if (!isReused && mayReuse) failures.push("the target's connection was given up");
  return failures;
}

function judge(one: ResponseCase, exchange: RawExchange, finals: readonly StrictMessage[]): string[] {
  const [first, second] = finals;
  if (exchange.end === "silent") return [`no end: ${exchange.text.slice(0, 300)}`];
  if (one.want === "cut") {
    if (first === undefined) return exchange.end === "reset" ? [] : [`ended by ${exchange.end}`];
    return first.startLine.startsWith("HTTP/1.1 502 ") ? [] : ["dangerous: looks like a whole answer"];
  }
  if (first === undefined) return [`no answer: ${exchange.end} ${exchange.text.slice(0, 300)}`];
  const failures = one.want === "502" ? [] : deliveryProblems(exchange, first, one.want);
  if (one.want === "502" && !first.startLine.startsWith("HTTP/1.1 502 "))
    failures.push(`dangerous: ${first.startLine}`);
  if (one.version !== "1.0" && second?.body !== "/next")
    failures.push(`the next answer is ${second?.head}${second?.body}`);
  return failures;
}

const ours = [
  /^Via: 1\.[01] penstock$/,
  /^X-Kong-Upstream-Latency: \d+$/,
  /^X-Kong-Proxy-Latency: \d+$/,
  /^X-Kong-Request-Id: [0-9a-f]{32}$/,
];

/** What we say of an answer that does not say it itself (RFC 9110 section 6.6.1). */
const date = /^Date: [A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Byte for byte: status line, what travels, framing; then exactly our own lines, and the body. */
function deliveryProblems(exchange: RawExchange, got: StrictMessage, want: Delivery): string[] {
  const start = `HTTP/1.1 ${want.line}\r\n${want.fields ?? ""}`;
  if (!got.head.startsWith(start)) return [`delivered as ${JSON.stringify(got.head.slice(0, 400))}`];
  const problems: string[] = [];
  const interim = exchange.text.slice(0, exchange.text.indexOf(got.head));
  if (interim !== (want.interim ?? "")) problems.push(`before it came ${JSON.stringify(interim)}`);
  const lines = got.head
    .slice(start.length, -4)
    .split("\r\n")
    .filter((line) => line !== "Connection: close");
  const added = /^Date:/im.test(want.fields ?? "") ? ours : [date, ...ours];
  for (const line of lines) if (!added.some((pattern) => pattern.test(line))) problems.push(`a line too many: ${line}`);
  for (const pattern of added) if (!lines.some((line) => pattern.test(line))) problems.push(`no ${pattern.source}`);
  if (got.framedBody !== (want.body ?? ""))
    problems.push(`the body is ${JSON.stringify(got.framedBody.slice(0, 200))}`);
  return problems;
}

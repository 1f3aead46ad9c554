import type { Arrival, Refusal, RequestCase } from "./conformance-case.ts";
import { rawExchange } from "./raw-exchange.ts";
import type { Recorded, RecordingBackend } from "./recording-backend.ts";
import { readAnswers, valuesOf } from "./strict-reader.ts";

/** Follows what is refused: must never be read. Follows what is accepted: must arrive as a request of its own. */
const next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

export interface RequestBench {
  /** Of the proxy. */
  readonly port: number;
  readonly backend: RecordingBackend;
  /** A wait that passes is a failure. */
  readonly timeoutMs?: number;
  /** Default: false. */
  readonly isTls?: boolean;
}

/**
 * Sends one case and says what was wrong with what became of it. The proxy must have no other traffic meanwhile.
 * @returns failures; none when all is as it should be
 */
export async function runRequestCase(bench: RequestBench, one: RequestCase): Promise<string[]> {
  bench.backend.clear();
  const failures = await judge(bench, one);
  failures.push(...bench.backend.problems.map((problem) => `dangerous: ${problem}`));
  bench.backend.clear();
  // Whatever is still on its way to the target has arrived by the time a request sent after it is answered.
  const after = await rawExchange(bench.port, next, {
    isEnough: (text) => text.includes("\r\n\r\nGET /next"),
    ...wait(bench),
  });
  if (after.end !== "open") failures.push("the proxy does not serve the next connection");
  const stray = bench.backend.received.filter((message) => !message.startLine.startsWith("GET /next "));
  failures.push(...bench.backend.problems, ...stray.map((message) => `dangerous: late ${message.startLine}`));
  return failures;
}

function wait(bench: RequestBench): { timeoutMs: number; isTls: boolean } {
  return { timeoutMs: bench.timeoutMs ?? 5_000, isTls: bench.isTls ?? false };
}

async function judge(bench: RequestBench, one: RequestCase): Promise<string[]> {
  if (one.want === "waits") return await judgeIncomplete(bench, one);
  if ("status" in one.want) return await judgeRefusal(bench, one, one.want);
  return await judgeArrival(bench, one, one.want);
}

async function judgeIncomplete(bench: RequestBench, one: RequestCase): Promise<string[]> {
  const { text, end } = await rawExchange(bench.port, one.bytes, { ends: true, ...wait(bench) });
  const failures = bench.backend.received.map((message) => `dangerous: arrived as ${message.startLine}`);
  if (text.startsWith("HTTP/1.1 200 ")) failures.push("was answered");
  if (end === "silent") failures.push("the connection stayed open");
  return failures;
}

async function judgeRefusal(bench: RequestBench, one: RequestCase, want: Refusal): Promise<string[]> {
  const { text, end } = await rawExchange(bench.port, one.bytes + next, wait(bench));
  const failures: string[] = [];
  const { messages, rest } = readAnswers(text, { isClosed: true });
  const status = messages[0]?.startLine.slice(9, 12);
  if (status !== String(want.status)) failures.push(`was answered ${status ?? "nothing"} instead of ${want.status}`);
  if (messages.length > 1 || rest !== "") failures.push(`more than one answer: ${text.slice(0, 300)}`);
  if (end !== "end") failures.push(`the connection ended by ${end}`);
  if (messages[0] !== undefined && valuesOf(messages[0], "connection")[0] !== "close")
    failures.push("no Connection: close");
  failures.push(...bench.backend.received.map((message) => `dangerous: arrived as ${message.startLine}`));
  if (want.mayOpen !== true && bench.backend.bytes !== "") failures.push("dangerous: bytes reached the target");
  return failures;
}

async function judgeArrival(bench: RequestBench, one: RequestCase, want: readonly Arrival[]): Promise<string[]> {
  const closes = /^connection:[^\r]*close|^[^\r]* HTTP\/1\.0\r/im.test(one.bytes);
  const methods = want.map(({ line }) => line.split(" ")[0]!);
  const answerCount = closes ? want.length : want.length + 1;
  const { text, end } = await rawExchange(bench.port, closes ? one.bytes : one.bytes + next, {
    isEnough: (sofar) => !closes && finalAnswers(sofar, methods).length >= answerCount,
    ...wait(bench),
  });
  const failures: string[] = [];
  const answers = finalAnswers(text, methods);
  if (end === "silent") failures.push("the answers did not come, or the connection stayed open");
  if (answers.length !== answerCount)
    failures.push(`${answers.length} answers of ${answerCount}: ${text.slice(0, 300)}`);
  if (answers.some((answer) => !answer.startLine.startsWith("HTTP/1.1 200 ")))
    failures.push(`refused: ${text.slice(0, 300)}`);
  const arrivals = closes ? want : [...want, { line: "GET /next" }];
  const { received } = bench.backend;
  if (received.length !== arrivals.length) failures.push(`${received.length} requests arrived, not ${arrivals.length}`);
  for (const [index, arrival] of arrivals.entries()) {
    if (received[index] !== undefined) failures.push(...arrivalProblems(bench, received[index], arrival));
  }
  return failures;
}

function finalAnswers(text: string, methods: readonly string[]) {
  return readAnswers(text, { methods }).messages.filter((message) => !message.startLine.startsWith("HTTP/1.1 1"));
}

/** Our own lines of a plain GET of /x by HTTP/1.1 for a.test; "" stands for any value. */
function ourLines(bench: RequestBench, want: Arrival): Record<string, string | null> {
  return {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": bench.isTls ? "https" : "http",
    "X-Forwarded-Host": "a.test",
    "X-Forwarded-Port": String(bench.port),
    "X-Forwarded-Path": want.line.split(" ")[1]!,
    "X-Real-IP": "127.0.0.1",
    "X-Kong-Request-Id": "",
    Via: "1.1 penstock",
    ...want.ours,
  };
}

/** Byte for byte: start line, Host, what travels; then exactly our own lines, and the body. */
function arrivalProblems(bench: RequestBench, got: Recorded, want: Arrival): string[] {
  const problems: string[] = [];
  const start = `${want.line} HTTP/1.1\r\nHost: target.test:${bench.backend.port}\r\n${want.fields ?? ""}`;
  if (!got.head.startsWith(start)) {
    return [`arrived as ${JSON.stringify(got.head.slice(0, 400))}, not ${JSON.stringify(start.slice(0, 400))}`];
  }
  const ours = ourLines(bench, want);
  const lines = got.head.slice(start.length, -4).split("\r\n");
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(":"));
    const value = line.slice(name.length + 2);
    const wanted = ours[name];
    if (wanted === undefined || wanted === null) problems.push(`a line that should not be there: ${line}`);
    else if (wanted !== "" && wanted !== value) problems.push(`${name} is ${value}, not ${wanted}`);
    delete ours[name];
  }
  for (const [name, wanted] of Object.entries(ours)) if (wanted !== null) problems.push(`no ${name}`);
  if (got.framedBody !== (want.body ?? ""))
    problems.push(`the body is ${JSON.stringify(got.framedBody.slice(0, 200))}`);
  return problems;
}

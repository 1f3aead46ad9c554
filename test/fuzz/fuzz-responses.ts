import { rawExchange } from "../conformance/raw-exchange.ts";
import type { Script, ScriptedBackend } from "../conformance/scripted-backend.ts";
import { readAnswers, type StrictMessage, valuesOf } from "../conformance/strict-reader.ts";
import type { FuzzReport } from "./fuzz-requests.ts";
import type { Operator } from "./operator.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface ResponseFuzz {
  /** Of the proxy. */
  readonly port: number;
  readonly backend: ScriptedBackend;
  /** Host to ask for. */
  readonly host: string;
  readonly operators: readonly Operator[];
  /** Well-formed answers to start from. */
  readonly seeds: readonly string[];
  readonly random: SeededRandom;
  readonly timeoutMs?: number;
}

const batchSize = 32;

/**
 * Has the target send mutants, many at once over shared connections, and judges what each client saw: a whole
 * answer, a 502 or 504, or a cut that shows; and to its next request exactly the answer to that, never a piece of
 * something else. What is well-formed by the strictest reading must arrive. Adds to the report.
 */
export async function fuzzResponses(fuzz: ResponseFuzz, count: number, report: FuzzReport): Promise<void> {
  const scripts = new Map<string, Script>();
  fuzz.backend.scriptFor = (asked) => scripts.get(asked) ?? { bytes: "", afterwards: "close" };
  for (let made = 0; made < count; made += batchSize) {
    scripts.clear();
    const size = Math.min(batchSize, count - made);
    await Promise.all(
      Array.from({ length: size }, (_, index) => runMutant(fuzz, scripts, `${report.mutants + index}`, report)),
    );
    report.mutants += size;
  }
}

async function runMutant(
  fuzz: ResponseFuzz,
  scripts: Map<string, Script>,
  id: string,
  report: FuzzReport,
): Promise<void> {
  const { operators, seeds, random } = fuzz;
  const operator = random.pick(operators);
  let seed = random.pick(seeds);
  while (operator.appliesTo?.(seed) === false) seed = random.pick(seeds);
  const bytes = operator.mutate(seed, random, seeds);
  const method = random.below(8) === 0 ? "HEAD" : "GET";
  const script = scriptOf(bytes, method, random);
  scripts.set(`/case/${id}`, script);
  const end = `Host: ${fuzz.host}\r\n\r\n`;
  const exchange = await rawExchange(
    fuzz.port,
    `${method} /case/${id} HTTP/1.1\r\n${end}GET /next/${id} HTTP/1.1\r\n${end}`,
    {
      ends: true,
      timeoutMs: fuzz.timeoutMs ?? 20_000,
    },
  );
  const counts = report.byOperator.get(operator.name) ?? { made: 0, forwarded: 0 };
  report.byOperator.set(operator.name, counts);
  counts.made++;
  if (exchange.end === "silent") report.hangs++;
  const verdict = judge(exchange, { id, method, script });
  if (verdict.isDelivered) {
    counts.forwarded++;
    report.answers++;
  }
  for (const problem of verdict.problems) {
    report.failures.push(
      `${operator.name}: ${problem}: ${method} ${JSON.stringify(script)} gave ${exchange.end} ${JSON.stringify(exchange.text.slice(0, 600))}`,
    );
  }
}

/** A target whose answer cannot be known to be whole ends it: else everybody would wait for more. */
function scriptOf(bytes: string, method: string, random: SeededRandom): Script {
  const reading = readAnswers(bytes, { methods: [method] });
  const finals = reading.messages.filter(({ startLine }) => !startLine.startsWith("HTTP/1.1 1"));
  if (finals.length > 0) return { bytes };
  return { bytes, afterwards: random.below(4) === 0 ? "reset" : "close" };
}

interface Asked {
  readonly id: string;
  readonly method: string;
  readonly script: Script;
}

function judge(exchange: { text: string; end: string }, asked: Asked): { problems: string[]; isDelivered: boolean } {
  const isClosed = exchange.end === "end";
  const { messages, rest, problem } = readAnswers(exchange.text, { methods: [asked.method], isClosed });
  const finals = messages.filter(({ startLine }) => !startLine.startsWith("HTTP/1.1 1"));
  const [first, second] = finals;
  const problems: string[] = [];
  if (exchange.end === "silent") problems.push("hang");
  if (problem !== null) problems.push(`the client got ${problem}`);
  if (finals.length > 2) problems.push("three answers to two requests");
  if (exchange.end === "end" && rest !== "") problems.push("a cut that does not show");
  if (second !== undefined && (!second.startLine.startsWith("HTTP/1.1 200 ") || second.body !== `/next/${asked.id}`)) {
    problems.push("another answer than that to the next request");
  }
  const isOurs = first === undefined || /^HTTP\/1\.1 50[24] /.test(first.startLine);
  const wanted = strictlyWhole(asked);
  if (wanted !== null && (first === undefined || first.body !== wanted))
    problems.push("a well-formed answer was not delivered");
  return { problems, isDelivered: !isOurs };
}

/** The body of the answer, when it is one by the strictest reading; null when that reading has doubts. */
function strictlyWhole({ method, script }: Asked): string | null {
  if (script.bytes.length > 30_000) return null;
  const { messages, problem } = readAnswers(script.bytes, {
    methods: [method],
    isClosed: script.afterwards === "close",
  });
  const firstFinal = messages.findIndex(({ startLine }) => !startLine.startsWith("HTTP/1.1 1"));
  const final = messages[firstFinal];
  if (final === undefined || firstFinal > 10 || problem !== null) return null;
  // 101 switches protocols, and framing where no body can be is refused.
  const bodiless = messages.slice(0, firstFinal).concat(/ 204\b/.test(final.startLine) ? [final] : []);
  if (bodiless.some(({ startLine, fields }) => startLine.includes(" 101") || fields.some(isFraming))) return null;
  return messages.slice(0, firstFinal + 1).every(hasPlainConnection) ? final.body : null;
}

function isFraming([name]: readonly [string, string]): boolean {
  return /^(?:content-length|transfer-encoding)$/i.test(name);
}

/** A Connection field that is no list of tokens, or that nominates framing, is refused. */
function hasPlainConnection(message: StrictMessage): boolean {
  const options = valuesOf(message, "connection").join(",");
  return /^[\w-]*(?:[ \t]*,[ \t]*[\w-]*)*$/.test(options) && !/content-length|transfer-encoding|host/i.test(options);
}

import { type BodyType, bodyType, type ErrorFacts, errorResponse } from "./error-response.ts";
import { proxyError } from "./proxy-error.ts";

/** Stand in a template for what differs from answer to answer, and occur nowhere else in it. */
const idMark = "#".repeat(32);
const latencyMark = Number.MAX_SAFE_INTEGER;

const acceptOf: Readonly<Record<BodyType, string>> = {
  json: "application/json",
  plain: "text/plain",
  html: "text/html",
  xml: "application/xml",
};

/** Of an answer, all but the latency between the first two, and the id before and behind the third. */
type Template = readonly [string, string, string, string];

/** What is told to whoever is refused in overload, beside what all answers of our own say. */
export const overloadLines = "Retry-After: 1\r\n";

/**
 * The answers to requests that are refused in overload, made once a second: what refusing costs is missing to those that
 * are served (proof overload). They are what `errorResponse` makes, to the byte.
 */
export class OverloadAnswers {
  readonly #version: string;
  #date = "";
  readonly #keeping = new Map<BodyType, Template>();
  readonly #closing = new Map<BodyType, Template>();

  constructor(version: string) {
    this.#version = version;
  }

  /** @param facts of a request that is no HEAD; `version` and `extraLines` are those of all */
  text(facts: Pick<ErrorFacts, "requestId" | "accept" | "latencyMs" | "date" | "closes">): string {
    if (facts.date !== this.#date) {
      this.#date = facts.date;
      this.#keeping.clear();
      this.#closing.clear();
    }
    const type = facts.accept === "" ? "json" : bodyType(facts.accept, false);
    const known = facts.closes ? this.#closing : this.#keeping;
    let template = known.get(type);
    if (template === undefined) {
      template = this.#template(type, facts.closes);
      known.set(type, template);
    }
    const { requestId } = facts;
    return template[0] + facts.latencyMs + template[1] + requestId + template[2] + requestId + template[3];
  }

  #template(type: BodyType, closes: boolean): Template {
    const error = proxyError("overloaded");
    const text = errorResponse(error, error.status, {
      requestId: idMark,
      accept: acceptOf[type],
      contentType: "",
      version: this.#version,
      latencyMs: latencyMark,
      date: this.#date,
      closes,
      isAnswerToHead: false,
      extraLines: overloadLines,
      detail: "",
    });
    const [start, rest] = text.split(String(latencyMark));
    const [beforeId, betweenIds, end] = rest!.split(idMark);
    return [start!, beforeId!, betweenIds!, end!];
  }
}

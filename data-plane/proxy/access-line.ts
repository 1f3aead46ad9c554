import type { LoggedAttempt } from "./logged-request.ts";
import { addressText } from "./traffic-metrics.ts";

/** What a line of the access log says. Texts may contain anything. */
export interface AccessFacts {
  readonly requestId: string;
  readonly client: string;
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly host: string;
  /** 0 when the client left before it was answered. */
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly route: string;
  readonly service: string;
  readonly upstream: string;
  readonly attempts: readonly LoggedAttempt[];
  /** RFC 9209 error type; "" when all went well. */
  readonly failure: string;
  readonly userAgent: string;
  readonly traceId: string;
}

/** @param time in ISO 8601 @returns one JSON object in ASCII, with its line end */
export function accessLine(time: string, facts: AccessFacts): string {
  return (
    `{"time":"${time}","request_id":"${facts.requestId}","client":"${escaped(facts.client)}",` +
    `"method":"${facts.method}","host":"${escaped(facts.host)}","path":"${escaped(facts.target)}",` +
    `"status":${facts.status},"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut},` +
    `"duration_ms":${tenths(facts.durationMs)},"route":"${escaped(facts.route)}",` +
    `"service":"${escaped(facts.service)}","upstream":"${escaped(facts.upstream)}",` +
    `"attempts":[${attemptsText(facts.attempts)}],"failure":"${facts.failure}",` +
    (facts.traceId === "" ? "" : `"trace_id":"${facts.traceId}",`) +
    `"user_agent":"${escaped(facts.userAgent)}"}\n`
  );
}

function attemptsText(attempts: readonly LoggedAttempt[]): string {
  let text = "";
  for (let i = 0; i < attempts.length; i++) {
    const { address, port, outcome, durationMs } = attempts[i]!;
    if (i > 0) text += ",";
    text += `{"address":"${escaped(addressText(address, port))}","outcome":"${outcome}","ms":${tenths(durationMs)}}`;
  }
  return text;
}

/** Milliseconds with one digit after the point: of integers, since a fraction costs ten times as much to write. */
function tenths(ms: number): string {
  const count = Math.round(ms * 10);
  return `${Math.trunc(count / 10)}.${count % 10}`;
}

const plain = /^[ !#-[\]-~]*$/;

/**
 * Text inside a JSON string, in printable ASCII: no line end, no quote, no escape sequence of a terminal, whoever
 * sent it.
 */
export function escaped(text: string): string {
  if (plain.test(text)) return text;
  return text.replaceAll(/[^ !#-[\]-~]/g, (char) => {
    // By code unit: a character outside the basic plane becomes its two surrogates, as JSON wants it.
    if (char === '"' || char === "\\") return `\\${char}`;
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

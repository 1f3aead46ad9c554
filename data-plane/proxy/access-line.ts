import type { AccessLineParts } from "./access-line-parts.ts";
import type { LoggedRequest } from "./logged-request.ts";

export interface Named {
  readonly id: string;
  readonly name: string | null;
}

/**
 * What a line of the access log says: an exchange at its end, read where it lies, since copying it would cost an object
 * per request. Texts may contain anything.
 */
export interface AccessFacts {
  readonly requestId: string;
  readonly clientAddress: string;
  readonly method: { readonly name: string };
  /** Path and query as sent. */
  readonly sentTarget: string;
  readonly host: string;
  /** 0 when the client left before it was answered. */
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly route: Named | null;
  readonly service: Named | null;
  readonly pool: { readonly config: { readonly name: string } } | null;
  /** RFC 9209 error type; "" when all went well. */
  readonly failure: string;
  readonly logged: LoggedRequest | null;
}

/**
 * Cost: 0.75 us for a line of 400 characters. Written straight into memory, character by character or in pieces, it
 * costs 0.9 to 1.2.
 *
 * @param time in ISO 8601 @returns one JSON object in ASCII, with its line end
 */
export function accessLine(time: string, facts: AccessFacts, parts: AccessLineParts): string {
  const logged = facts.logged!;
  return (
    `{"time":"${time}","request_id":"${facts.requestId}","client":"${escaped(facts.clientAddress)}",` +
    `"method":"${facts.method.name}","host":"${escaped(facts.host)}","path":"${escaped(facts.sentTarget)}",` +
    `"status":${facts.status},"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut},` +
    `"duration_ms":${tenths(logged.durationMs)},` +
    (logged.queuedMs > 0 ? `"queued_ms":${tenths(logged.queuedMs)},` : "") +
    `${parts.place(facts)}${attemptsText(logged, parts)}],` +
    `"failure":"${facts.failure}",` +
    (logged.traceId === "" ? `"user_agent":"` : `"trace_id":"${logged.traceId}","user_agent":"`) +
    `${escaped(logged.userAgent)}"}\n`
  );
}

function attemptsText({ attempts, attemptCount }: LoggedRequest, parts: AccessLineParts): string {
  let text = "";
  for (let i = 0; i < attemptCount; i++) {
    const { endpoint, outcome, durationMs, connectMs, waitMs } = attempts[i]!;
    if (i > 0) text += ",";
    text += `${parts.attemptAt(endpoint)}${outcome}","ms":${tenths(durationMs)}`;
    if (connectMs >= 0) text += `,"connect_ms":${tenths(connectMs)}`;
    text += waitMs >= 0 ? `,"wait_ms":${tenths(waitMs)}}` : "}";
  }
  return text;
}

/** Milliseconds with one digit after the point: of integers, since a fraction costs ten times as much to write. */
export function tenths(ms: number): string {
  const count = Math.round(ms * 10);
  return `${Math.trunc(count / 10)}.${count % 10}`;
}

const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e || code === DOUBLE_QUOTE || code === BACKSLASH) return false;
  }
  return true;
}

/**
 * Text inside a JSON string, in printable ASCII: no line end, no quote, no escape sequence of a terminal, whoever
 * sent it.
 */
export function escaped(text: string): string {
  if (isPlain(text)) return text;
  return text.replaceAll(/[^ !#-[\]-~]/g, (char) => {
    // By code unit: a character outside the basic plane becomes its two surrogates, as JSON wants it.
    if (char === '"' || char === "\\") return `\\${char}`;
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

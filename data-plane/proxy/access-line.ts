import type { AccessLineParts } from "./access-line-parts.ts";
import { escaped } from "./escaped.ts";
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
 * Of as few pieces as can be: each costs 10 ns when it is appended and 20 when the text is copied (bench W1log). Written
 * straight into memory, character by character or in pieces, a line costs more.
 *
 * @returns one JSON object in ASCII, with its line end
 */
export function accessLine(nowUnixMs: number, facts: AccessFacts, parts: AccessLineParts): string {
  const logged = facts.logged!;
  return (
    parts.beforeId(nowUnixMs) +
    facts.requestId +
    logged.beforePath(facts) +
    escaped(facts.sentTarget) +
    parts.beforeBytes(facts.status) +
    facts.bytesIn +
    ',"bytes_out":' +
    facts.bytesOut +
    ',"duration_ms":' +
    tenths(logged.durationMs) +
    (logged.queuedMs > 0 ? `,"queued_ms":${tenths(logged.queuedMs)}${parts.place(facts)}` : parts.place(facts)) +
    attemptsText(logged, parts) +
    logged.afterAttempts(facts.failure)
  );
}

function attemptsText({ attempts, attemptCount }: LoggedRequest, parts: AccessLineParts): string {
  let text = "";
  for (let i = 0; i < attemptCount; i++) {
    const { endpoint, outcome, durationMs, connectMs, waitMs } = attempts[i]!;
    const begin = outcome === "ok" ? parts.okAt(endpoint) : `${parts.attemptAt(endpoint)}${outcome}","ms":`;
    text += (i > 0 ? `,${begin}` : begin) + tenths(durationMs);
    if (connectMs >= 0) text += `,"connect_ms":${tenths(connectMs)}`;
    text += waitMs >= 0 ? `,"wait_ms":${tenths(waitMs)}}` : "}";
  }
  return text;
}

/** Milliseconds with one digit after the point: of integers, since a fraction costs ten times as much to write. */
export function tenths(ms: number): string {
  const count = Math.round(ms * 10);
  return shortTenths[count] ?? tenthsOf(count);
}

function tenthsOf(count: number): string {
  return `${Math.trunc(count / 10)}.${count % 10}`;
}
/** Most times are below a tenth of a second. */
const shortTenths = Array.from({ length: 1_000 }, (_, count) => tenthsOf(count));

import { equalsIgnoringCase } from "./body-framing.ts";
import { byteClass, COMMA, HTAB, lowerCase, SP, TOKEN } from "./byte-class.ts";
import { Field } from "./field-kind.ts";
import type { FieldLines } from "./field-lines.ts";
import { Problem } from "./head-problem.ts";

/** What a Connection field asked for, as bits. */
export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADE = 4;
/** Names, each looked for among all fields and kept until the body has ended: thousands of them are an attack. */
const nominatedMaxCount = 32;

/**
 * Reads one Connection field and marks every field that it nominates as dropped. Nominating the fields that
 * say where a message ends or whom it is for is refused: a server behind us would see another message.
 *
 * Source: RFC 9110 section 7.6.1.
 * @returns bits of what was asked, or a Problem, negated
 */
export function readConnectionOptions(lines: FieldLines, index: number, bytes: Uint8Array): number {
  const end = lines.valueEnd[index]!;
  let at = lines.valueStart[index]!;
  // Nearly always it says one of these and nothing else.
  const single = knownOption(bytes, at, end);
  if (single !== 0) return single;
  let asked = 0;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === COMMA || byte === SP || byte === HTAB) {
      at++;
      continue;
    }
    const start = at;
    while (at < end && (byteClass[bytes[at]!]! & TOKEN) !== 0) at++;
    if (at === start) return -Problem.ConnectionOption;
    const optionEnd = at;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    if (at < end && bytes[at] !== COMMA) return -Problem.ConnectionOption;
    const option = knownOption(bytes, start, optionEnd);
    if (option !== 0) asked |= option;
    else if (!dropNominated(lines, bytes, start, optionEnd)) return -Problem.ConnectionOption;
  }
  return asked;
}

function knownOption(bytes: Uint8Array, start: number, end: number): number {
  if (equalsIgnoringCase(bytes, start, end, "close")) return CLOSE;
  if (equalsIgnoringCase(bytes, start, end, "keep-alive")) return KEEP_ALIVE;
  if (equalsIgnoringCase(bytes, start, end, "upgrade")) return UPGRADE;
  return 0;
}

/** False when the nominated field may not be, or is one too many. Only unusual requests nominate any, so this may cost. */
function dropNominated(lines: FieldLines, bytes: Uint8Array, start: number, end: number): boolean {
  for (const name of ["host", "content-length", "transfer-encoding"]) {
    if (equalsIgnoringCase(bytes, start, end, name)) return false;
  }
  if (isNominated(lines.nominated, bytes, start, end)) return true;
  if (lines.nominated.length === nominatedMaxCount) return false;
  lines.nominate(bytes, start, end);
  for (let index = 0; index < lines.count; index++) {
    if (namesMatch(lines, index, bytes, start, end)) lines.kind[index] = droppedKind(lines.kind[index] as Field);
  }
  return true;
}

/** Whether the name was nominated before: saying it again costs nothing more. */
function isNominated(nominated: readonly string[], bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = 0; index < nominated.length; index++) {
    if (equalsIgnoringCase(bytes, start, end, nominated[index]!)) return true;
  }
  return false;
}

/** Fields that steer the engine keep their kind (they are not forwarded raw anyway). */
function droppedKind(kind: Field): Field {
  switch (kind) {
    case Field.Other:
    case Field.Accept:
    case Field.Trailer:
    case Field.XForwardedFor:
    case Field.Forwarded:
    case Field.Traceparent:
    case Field.Tracestate:
    case Field.Date:
      return Field.Dropped;
    default:
      return kind;
  }
}

function namesMatch(lines: FieldLines, index: number, bytes: Uint8Array, start: number, end: number): boolean {
  const nameStart = lines.nameStart[index]!;
  if (lines.nameEnd[index]! - nameStart !== end - start) return false;
  for (let i = 0; i < end - start; i++) {
    if (lowerCase[bytes[nameStart + i]!] !== lowerCase[bytes[start + i]!]) return false;
  }
  return true;
}

/** Whether `word` (given in lower case) is a member, without parameters, of the comma-separated list in [from, end). */
export function hasListMember(bytes: Uint8Array, from: number, end: number, word: string): boolean {
  let start = from;
  for (let at = from; at <= end; at++) {
    if (at < end && bytes[at] !== COMMA) continue;
    let memberEnd = at;
    while (start < memberEnd && isBlank(bytes[start]!)) start++;
    while (memberEnd > start && isBlank(bytes[memberEnd - 1]!)) memberEnd--;
    if (equalsIgnoringCase(bytes, start, memberEnd, word)) return true;
    start = at + 1;
  }
  return false;
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}

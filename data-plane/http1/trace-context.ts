import { Field } from "./field-kind.ts";
import type { FieldLines } from "./field-lines.ts";

const DASH = 0x2d;
/** `00-`, 32 digits of the trace, `-`, 16 of the span, `-`, 2 of flags. */
const valueBytes = 55;
export const traceIdStart = 3;
export const traceIdEnd = 35;

/**
 * The one valid traceparent among the fields. Without it, all fields of the trace context are marked as dropped:
 * who cannot read a trace must not pass it on, and starting one is for those who record it.
 *
 * Source: W3C Trace Context, sections 3.2 and 4.3.
 * @returns its index, or -1
 */
export function readTraceContext(lines: FieldLines, bytes: Uint8Array): number {
  let found = -1;
  let count = 0;
  for (let index = 0; index < lines.count; index++) {
    if (lines.kind[index] !== Field.Traceparent) continue;
    count++;
    if (isTraceparent(bytes, lines.valueStart[index]!, lines.valueEnd[index]!)) found = index;
  }
  if (count === 1 && found >= 0) return found;
  for (let index = 0; index < lines.count; index++) {
    const kind = lines.kind[index];
    if (kind === Field.Traceparent || kind === Field.Tracestate) lines.kind[index] = Field.Dropped;
  }
  return -1;
}

/** Version 00 in full; of later versions what they must have in common with it. */
function isTraceparent(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < valueBytes) return false;
  for (let i = 0; i < valueBytes; i++) {
    const isDash = i === 2 || i === traceIdEnd || i === 52;
    if (isDash ? bytes[start + i] !== DASH : !isLowerHex(bytes[start + i]!)) return false;
  }
  if (isAll(bytes, start, start + 2, 0x66)) return false;
  if (isAll(bytes, start + traceIdStart, start + traceIdEnd, 0x30) || isAll(bytes, start + 36, start + 52, 0x30)) {
    return false;
  }
  if (length === valueBytes) return true;
  return !isAll(bytes, start, start + 2, 0x30) && bytes[start + valueBytes] === DASH;
}

function isLowerHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
}

function isAll(bytes: Uint8Array, start: number, end: number, wanted: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== wanted) return false;
  return true;
}

import { byteClass, COLON, CR, FIELD_VALUE, LF, TOKEN } from "../../../data-plane/http1/byte-class.ts";
import { fieldKind } from "../../../data-plane/http1/field-kind.ts";
import type { FieldLines } from "../../../data-plane/http1/field-lines.ts";
import { Problem } from "../../../data-plane/http1/head-problem.ts";

/** Broken on purpose: takes a bare LF for a line end, as many servers do, and forwards it as it came. */
export function scanFieldLinesTakingBareLf(lines: FieldLines, bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  lines.nominated.length = 0;
  for (let count = 0; count < lines.maxCount; count++) {
    const lineFeed = bytes.indexOf(LF, at);
    if (lineFeed < 0 || lineFeed >= end) return 0;
    const contentEnd = lineFeed > at && bytes[lineFeed - 1] === CR ? lineFeed - 1 : lineFeed;
    if (contentEnd === at) {
      lines.count = count;
      return lineFeed + 1;
    }
    const colon = bytes.indexOf(COLON, at);
    if (colon <= at || colon > contentEnd) return -Problem.FieldName;
    if (!all(bytes, at, colon, TOKEN)) return -Problem.FieldName;
    if (!all(bytes, colon + 1, contentEnd, FIELD_VALUE)) return -Problem.FieldValue;
    const value = Buffer.from(bytes.subarray(colon + 1, contentEnd)).toString("latin1");
    lines.nameStart[count] = at;
    lines.nameEnd[count] = colon;
    lines.kind[count] = fieldKind(bytes, at, colon);
    lines.valueStart[count] = colon + 1 + value.length - value.trimStart().length;
    lines.valueEnd[count] = Math.max(lines.valueStart[count]!, colon + 1 + value.trimEnd().length);
    lines.lineEnd[count] = lineFeed + 1;
    at = lineFeed + 1;
  }
  return -Problem.TooManyFields;
}

function all(bytes: Uint8Array, start: number, end: number, allowed: number): boolean {
  return bytes.subarray(start, end).every((byte) => (byteClass[byte]! & allowed) !== 0);
}

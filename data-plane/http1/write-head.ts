import { Field } from "./field-kind.ts";
import type { FieldLines } from "./field-lines.ts";

/** Which kinds of field travel on as they came, by kind. */
export type ForwardTable = Uint8Array;

function forwardTable(kinds: readonly Field[]): ForwardTable {
  const table = new Uint8Array(32);
  for (const kind of kinds) table[kind] = 1;
  return table;
}

/**
 * Framing is written anew both ways: an answer's depends on the client, and a request's may come in spellings
 * that are legal but missed by some servers (a tab before the value, "Chunked"), which would then see no body.
 */
export const requestForwards: ForwardTable = forwardTable([
  Field.Other,
  Field.Accept,
  Field.Trailer,
  Field.Traceparent,
  Field.Tracestate,
  Field.Date,
]);
export const responseForwards: ForwardTable = forwardTable([
  Field.Other,
  Field.Accept,
  Field.Trailer,
  Field.Forwarded,
  Field.Traceparent,
  Field.Tracestate,
  Field.Date,
]);

/** The same for a message that is not in chunks: it has no trailers, so it must not announce any. */
export const requestForwardsUnchunked: ForwardTable = without(requestForwards, Field.Trailer);
export const responseForwardsUnchunked: ForwardTable = without(responseForwards, Field.Trailer);

function without(forwards: ForwardTable, kind: Field): ForwardTable {
  const table = forwards.slice();
  table[kind] = 0;
  return table;
}

/**
 * The lines of a head that travel on, as one string: neighbouring lines are cut out together, so that a usual
 * head costs one or two slices however many fields it has. The head's text must have been taken.
 *
 * @param from position of the first byte to take: `fieldsStart`, or before it to keep of the start line
 * @param fieldsStart after the start line's CRLF
 */
export function keptLines(lines: FieldLines, from: number, fieldsStart: number, forwards: ForwardTable): string {
  let text = "";
  let runStart = from;
  let runEnd = fieldsStart;
  for (let index = 0; index < lines.count; index++) {
    if (forwards[lines.kind[index]!] === 1) {
      if (runEnd === runStart) runStart = lines.nameStart[index]!;
      runEnd = lines.lineEnd[index]!;
    } else if (runEnd > runStart) {
      text += lines.textAt(runStart, runEnd);
      runStart = runEnd;
    }
  }
  return runEnd > runStart ? text + lines.textAt(runStart, runEnd) : text;
}

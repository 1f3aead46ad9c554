import { Framing } from "../../../data-plane/http1/body-framing.ts";
import { Field } from "../../../data-plane/http1/field-kind.ts";
import { Problem } from "../../../data-plane/http1/head-problem.ts";
import type { RequestHead } from "../../../data-plane/http1/request-head.ts";

/**
 * Broken on purpose: where a request has a length and a coding, it believes the coding, as RFC 7230 had it, and
 * forwards the length too.
 *
 * @param Strict the parser to break
 */
export function bothLengthsHead(Strict: typeof RequestHead): typeof RequestHead {
  return class extends Strict {
    override parse(bytes: Uint8Array, start: number, end: number): number {
      const result = super.parse(bytes, start, end);
      if (result !== -Problem.LengthAndEncoding) return result;
      const at = this.fields.kind.subarray(0, this.fields.count).indexOf(Field.ContentLength);
      const name = this.fields.nameStart[at]!;
      // Under another name the length is nothing special; the bytes that are forwarded have the right name again.
      const initial = bytes[name]!;
      bytes[name] = "X".charCodeAt(0);
      const again = super.parse(bytes, start, end);
      bytes[name] = initial;
      if (again > 0) this.framing = Framing.Chunked;
      return again;
    }
  };
}

import { CR, foldedName, LF, lowerCase } from "./byte-class.ts";
import { Field } from "./field-kind.ts";
import { FieldLines, scanFieldLines } from "./field-lines.ts";
import { keptLines } from "./write-head.ts";

export const trailerMaxBytes = 8_192;
export const trailerMaxCount = 32;

/** Only fields that mean nothing to the engine: what frames, routes or concerns a hop is no use after the body. */
const forwards = new Uint8Array(256);
forwards[Field.Other] = 1;

/**
 * What must not come as a trailer although it is no field of the engine's: who asks, on what condition, for how
 * long, and how the content is to be read was decided before the content came.
 *
 * Source: RFC 9110 section 6.5.1.
 */
const forbidden = new Set(
  (
    "authorization authentication-info proxy-authorization proxy-authenticate proxy-authentication-info " +
    "www-authenticate cookie set-cookie set-cookie2 cache-control pragma expires age vary warning date location " +
    "retry-after range content-range content-encoding content-type content-language content-location accept " +
    "accept-encoding accept-language max-forwards if-match if-none-match if-modified-since if-unmodified-since " +
    "if-range via forwarded alt-svc strict-transport-security x-http-method-override sec-websocket-key " +
    "sec-websocket-accept sec-websocket-protocol sec-websocket-version sec-websocket-extensions"
  ).split(" "),
);
/** A server reads these as routing or as who the client is, whichever of them it knows. */
const forbiddenPrefix = /^(?:x-forwarded|x-real|x-kong|x-original|x-rewrite|proxy)-/;

const none: readonly string[] = [];

/** Used for every trailer section of the thread: one is read and written within a call. */
const lines = new FieldLines(trailerMaxCount);

/**
 * Collects the field lines that follow the last chunk and says which of them travel on. Its memory is made when
 * the first of their bytes comes: hardly any message has trailers.
 */
export class TrailerSection {
  #bytes: Buffer | null = null;
  #length = 0;
  #lineCount = 0;
  #nominated = none;

  /** @param nominated lower-case names that the head's Connection fields told to be dropped */
  start(nominated: readonly string[]): void {
    this.#bytes = null;
    this.#length = 0;
    this.#lineCount = 0;
    // The array belongs to the head, which is read anew while this body still flows.
    this.#nominated = nominated.length === 0 ? nominated : [...nominated];
  }

  /** Another line begins. @returns whether it is one too many */
  beginLine(): boolean {
    return ++this.#lineCount > trailerMaxCount;
  }

  /** @returns whether it is one byte too many */
  add(byte: number): boolean {
    if (this.#length === trailerMaxBytes) return true;
    // Two more bytes hold the empty line.
    this.#bytes ??= Buffer.allocUnsafeSlow(trailerMaxBytes + 2);
    this.#bytes[this.#length++] = byte;
    return false;
  }

  /** The lines that travel on, each with its CRLF; "" for none. Told once: an idle connection keeps nothing of them. */
  kept(): string {
    const text = this.#bytes === null ? "" : this.#keptOf(this.#bytes);
    this.#bytes = null;
    this.#nominated = none;
    return text;
  }

  #keptOf(bytes: Buffer): string {
    bytes[this.#length] = CR;
    bytes[this.#length + 1] = LF;
    // Every byte was checked as it came; were a check missing there, nothing would travel on.
    lines.count = 0;
    scanFieldLines(lines, bytes, 0, this.#length + 2);
    for (let index = 0; index < lines.count; index++)
      if (this.#isForbidden(index, bytes)) lines.kind[index] = Field.Dropped;
    lines.takeText(bytes, 0, this.#length);
    return keptLines(lines, 0, 0, forwards);
  }

  #isForbidden(index: number, bytes: Buffer): boolean {
    const name = nameOf(bytes, lines.nameStart[index]!, lines.nameEnd[index]!, lowerCase);
    if (this.#nominated.includes(name)) return true;
    const folded = nameOf(bytes, lines.nameStart[index]!, lines.nameEnd[index]!, foldedName);
    return forbidden.has(folded) || forbiddenPrefix.test(folded);
  }
}

function nameOf(bytes: Buffer, start: number, end: number, spelling: Uint8Array): string {
  let name = "";
  for (let at = start; at < end; at++) name += String.fromCharCode(spelling[bytes[at]!]!);
  return name;
}

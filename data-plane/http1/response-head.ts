import { equalsIgnoringCase, Framing, isChunked, readContentLength } from "./body-framing.ts";
import { byteClass, CR, FIELD_VALUE, LF, SP } from "./byte-class.ts";
import { Field } from "./field-kind.ts";
import { defaultResponseLimits, FieldLines, type HeadLimits, scanFieldLines } from "./field-lines.ts";
import { Problem } from "./head-problem.ts";
import { CLOSE, KEEP_ALIVE, readConnectionOptions, UPGRADE } from "./hop-by-hop.ts";
import { readKeepAliveTimeout } from "./keep-alive-timeout.ts";

const HTTP_1 = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e];

/**
 * One response head, read in place under the same rules as requests. The object is used again; positions are
 * valid only until the bytes that `parse` was given change.
 */
export class ResponseHead {
  readonly fields: FieldLines;
  minorVersion = 1;
  /** 100..599. */
  status = 0;
  /** The status line's first byte. */
  start = 0;
  /** The status code's first digit. */
  statusStart = 0;
  /** After the status line's CRLF. */
  fieldsStart = 0;
  framing: Framing = Framing.None;
  /** As said by Content-Length, also where no body follows (HEAD, 304); -1 when it was not said. */
  contentLength = -1;
  /** Whether the server allows another request on this connection. */
  keepsAlive = true;
  /** How many seconds the server says that it keeps an idle connection; -1 when it does not say. */
  keepAliveSeconds = -1;
  /** An answer 101 that names websocket, and nothing else, as what follows it. */
  switchesToWebsocket = false;
  readonly #limits: HeadLimits;
  #end = 0;
  #dateIndex = -1;
  /** What the fields that are remembered came with. */
  #readContext = -1;
  #isChunked = false;
  #connectionOptions = 0;
  #namesWebsocket = false;
  #namesOtherProtocol = false;

  constructor(limits: HeadLimits = defaultResponseLimits) {
    this.#limits = limits;
    this.fields = new FieldLines(limits.fieldMaxCount);
  }

  /**
   * Reads a head from `start`.
   *
   * Source: RFC 9112 sections 4 to 6.
   * @param isAnswerToHead a HEAD request's answer has no body, whatever its fields say
   * @returns position after the head; 0 when `end` comes first; a Problem, negated
   */
  parse(bytes: Uint8Array, start: number, end: number, isAnswerToHead: boolean): number {
    const stop = Math.min(end, start + this.#limits.headMaxBytes);
    let at = this.#parseStatusLine(bytes, start, stop);
    if (at > 0) at = this.#readFields(bytes, at, stop, isAnswerToHead);
    if (at > 0) {
      this.start = start;
      this.#end = at;
      return at;
    }
    return at === 0 && stop < end ? -Problem.HeadTooLarge : at;
  }

  /** The fields and what they say, which is the same again where the same are sent with the same status. */
  #readFields(bytes: Uint8Array, start: number, stop: number, isAnswerToHead: boolean): number {
    const { fields } = this;
    // All of it in one number: what else than the fields the framing depends on.
    const context = (this.status << 2) | (this.minorVersion << 1) | (isAnswerToHead ? 1 : 0);
    if (context === this.#readContext) {
      const end = fields.readAgain(bytes, start, stop);
      if (end > 0) return end;
    }
    let end = scanFieldLines(fields, bytes, start, stop);
    if (end > 0) end = this.#interpret(bytes, end, isAnswerToHead);
    if (end > 0) {
      this.#readContext = context;
      fields.remember(bytes, start, end);
    }
    return end;
  }

  /** Whether a Date came that is more than this hop's. */
  get hasDate(): boolean {
    return this.#dateIndex >= 0 && this.fields.kind[this.#dateIndex] === Field.Date;
  }

  /** Makes the head's text to be had by `fields.textAt`. @param bytes that were parsed */
  takeText(bytes: Buffer): void {
    this.fields.takeText(bytes, this.start, this.#end);
  }

  #parseStatusLine(bytes: Uint8Array, start: number, stop: number): number {
    let at = start;
    for (let i = 0; i < HTTP_1.length; i++, at++) {
      if (at === stop) return 0;
      if (bytes[at] !== HTTP_1[i]) return -Problem.StatusLine;
    }
    if (at + 5 >= stop) return 0;
    if (bytes[at] !== 0x30 && bytes[at] !== 0x31) return -Problem.StatusLine;
    this.minorVersion = bytes[at]! - 0x30;
    if (bytes[at + 1] !== SP) return -Problem.StatusLine;
    at += 2;
    const status = readStatus(bytes, at);
    if (status < 0) return -Problem.Status;
    this.status = status;
    this.statusStart = at;
    at += 3;
    // The reason phrase and even its space are left out by some servers; nothing depends on them.
    if (bytes[at] !== SP && bytes[at] !== CR) return -Problem.Status;
    while (at < stop && (byteClass[bytes[at]!]! & FIELD_VALUE) !== 0) at++;
    if (at + 1 >= stop) return at < stop && bytes[at] !== CR ? -Problem.StatusLine : 0;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return -Problem.LineEnd;
    this.fieldsStart = at + 2;
    return at + 2;
  }

  #interpret(bytes: Uint8Array, headEnd: number, isAnswerToHead: boolean): number {
    this.contentLength = -1;
    this.keepAliveSeconds = -1;
    this.#dateIndex = -1;
    this.#isChunked = false;
    this.#connectionOptions = 0;
    this.#namesWebsocket = false;
    this.#namesOtherProtocol = false;
    const { fields } = this;
    for (let index = 0; index < fields.count; index++) {
      if (fields.kind[index] === Field.Other) continue;
      const problem = this.#interpretField(index, bytes);
      if (problem !== 0) return problem;
    }
    // HTTP/1.0 keeps a connection only when it says so (RFC 9112 section 9.3).
    const wanted = this.#connectionOptions & (CLOSE | KEEP_ALIVE);
    this.keepsAlive = this.minorVersion === 1 ? (wanted & CLOSE) === 0 : wanted === KEEP_ALIVE;
    this.switchesToWebsocket =
      this.status === 101 &&
      this.#namesWebsocket &&
      !this.#namesOtherProtocol &&
      (this.#connectionOptions & UPGRADE) !== 0;
    return this.#decideFraming(isAnswerToHead) || headEnd;
  }

  /** @returns 0 or a Problem, negated */
  #interpretField(index: number, bytes: Uint8Array): number {
    const { fields } = this;
    const start = fields.valueStart[index]!;
    const end = fields.valueEnd[index]!;
    switch (fields.kindAt(index)) {
      case Field.ContentLength:
        if (this.contentLength >= 0) return -Problem.ContentLengthDuplicate;
        this.contentLength = readContentLength(bytes, start, end);
        return this.contentLength < 0 ? -Problem.ContentLength : 0;
      case Field.TransferEncoding:
        if (this.#isChunked || !isChunked(bytes, start, end)) return -Problem.TransferEncoding;
        this.#isChunked = true;
        return 0;
      case Field.Connection: {
        const asked = readConnectionOptions(fields, index, bytes);
        if (asked < 0) return asked;
        this.#connectionOptions |= asked;
        return 0;
      }
      case Field.KeepAlive:
        this.keepAliveSeconds = readKeepAliveTimeout(bytes, start, end);
        return 0;
      case Field.Date:
        this.#dateIndex = index;
        return 0;
      case Field.Upgrade:
        if (equalsIgnoringCase(bytes, start, end, "websocket")) this.#namesWebsocket = true;
        else this.#namesOtherProtocol = true;
        return 0;
      default:
        return 0;
    }
  }

  /** Source: RFC 9112 section 6.3. @returns 0 or a Problem, negated */
  #decideFraming(isAnswerToHead: boolean): number {
    if (this.#isChunked && this.contentLength >= 0) return -Problem.LengthAndEncoding;
    if (this.#isChunked && this.minorVersion === 0) return -Problem.EncodingInOldVersion;
    if (this.status < 200 || this.status === 204) {
      // A length or coding here is a framing that some reader would believe (RFC 9112 section 6.1).
      if (this.#isChunked || this.contentLength > 0) return -Problem.LengthAndEncoding;
      this.framing = Framing.None;
    } else if (isAnswerToHead || this.status === 304) this.framing = Framing.None;
    else if (this.#isChunked) this.framing = Framing.Chunked;
    else if (this.contentLength > 0) this.framing = Framing.Length;
    else this.framing = this.contentLength === 0 ? Framing.None : Framing.UntilClose;
    return 0;
  }
}

/** The status of exactly three digits at `at`, 100..599, or -1. */
function readStatus(bytes: Uint8Array, at: number): number {
  const hundreds = bytes[at]! - 0x30;
  const tens = bytes[at + 1]! - 0x30;
  const ones = bytes[at + 2]! - 0x30;
  if (hundreds < 1 || hundreds > 5 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return -1;
  return hundreds * 100 + tens * 10 + ones;
}

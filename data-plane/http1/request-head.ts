import { equalsIgnoringCase, Framing, isChunked, readContentLength } from "./body-framing.ts";
import { byteClass, CR, HTAB, LF, SP, TARGET, TOKEN } from "./byte-class.ts";
import { Field } from "./field-kind.ts";
import { defaultRequestLimits, FieldLines, type HeadLimits, scanFieldLines } from "./field-lines.ts";
import { Problem } from "./head-problem.ts";
import { CLOSE, hasListMember, readConnectionOptions, UPGRADE } from "./hop-by-hop.ts";
import { hostEnd } from "./host-field.ts";
import { findMethod, type Method, methodMaxBytes, noMethod } from "./method.ts";
import { readTraceContext } from "./trace-context.ts";

const SLASH = 0x2f;
const QUESTION = 0x3f;
const ASTERISK = 0x2a;
const HTTP_1 = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e];
const versionBytes = 8;
const WEBSOCKET = 1;
const OTHER_PROTOCOL = 2;

/**
 * One request head, read in place. The object is used again for the next head: positions refer to the bytes
 * that `parse` was given and are valid only until those change.
 */
export class RequestHead {
  readonly fields: FieldLines;
  method: Method = noMethod;
  /** 0 or 1: HTTP/1.0 or HTTP/1.1. */
  minorVersion = 1;
  /** Path and query, without what absolute-form puts before them. Empty when absolute-form names no path. */
  targetStart = 0;
  targetEnd = 0;
  /** After the request line's CRLF. */
  fieldsStart = 0;
  /** Host and port as sent (absolute-form overrides Host); start = end when HTTP/1.0 sent none. */
  hostStart = 0;
  /** Where the host's name ends: the port's colon, or authorityEnd. */
  hostNameEnd = 0;
  authorityEnd = 0;
  framing: Framing = Framing.None;
  contentLength = 0;
  /** Content-Length was sent, maybe as 0. */
  hasLength = false;
  /** Whether the client allows another request on this connection. */
  keepsAlive = true;
  /** The client holds its body back until it is asked for it. */
  expectsContinue = false;
  /** The connection may turn into a websocket, if the server agrees. */
  asksForWebsocket = false;
  /** The client takes trailers (`TE: trailers`). */
  hasTrailersOption = false;
  /** The client wants to be told of the attempts (`Penstock-Debug: attempts`); whether it may, the proxy decides. */
  asksForAttempts = false;
  /** Index of the first such field, or -1. */
  acceptIndex = -1;
  /** Index of the one valid traceparent, or -1: then no field of the trace context travels on. */
  traceparentIndex = -1;
  /** From the first byte to the empty line, with both. */
  byteLength = 0;
  readonly #limits: HeadLimits;
  #start = 0;
  #hostIndex = -1;
  #connectionOptions = 0;
  /** Protocols in Upgrade, as bits. */
  #upgrades = 0;
  #hasTraceContext = false;
  /** What the fields that are remembered came with. */
  #readMethod: Method = noMethod;
  #readVersion = 1;

  constructor(limits: HeadLimits = defaultRequestLimits) {
    this.#limits = limits;
    this.fields = new FieldLines(limits.fieldMaxCount);
  }

  /**
   * Reads a head from `start`. The first violation ends it.
   *
   * Source: RFC 9112 sections 2 to 6.
   * @returns position after the head; 0 when `end` comes first; a Problem, negated
   */
  parse(bytes: Uint8Array, start: number, end: number): number {
    const stop = Math.min(end, start + this.#limits.headMaxBytes);
    let at = start;
    // One empty line before a request is ignored: old clients send it after a body (RFC 9112 section 2.2).
    if (at < stop && bytes[at] === CR) {
      if (at + 1 === stop) return 0;
      if (bytes[at + 1] !== LF) return -Problem.LineEnd;
      at += 2;
    }
    at = this.#parseRequestLine(bytes, at, stop);
    this.fieldsStart = at;
    if (at > 0) at = this.#readFields(bytes, at, stop);
    if (at > 0) {
      this.#start = start;
      this.byteLength = at - start;
      return this.#readHost(bytes) || this.#readTarget(bytes) || at;
    }
    return at === 0 && stop < end ? -Problem.HeadTooLarge : at;
  }

  /** The fields and what they say, which is the same again where the same are sent with the same method and version. */
  #readFields(bytes: Uint8Array, start: number, stop: number): number {
    const { fields, method, minorVersion } = this;
    if (method === this.#readMethod && minorVersion === this.#readVersion) {
      const end = fields.readAgain(bytes, start, stop);
      if (end > 0) return end;
    }
    let end = scanFieldLines(fields, bytes, start, stop);
    if (end > 0) end = this.#interpret(bytes, end);
    if (end > 0) {
      this.#readMethod = method;
      this.#readVersion = minorVersion;
      fields.remember(bytes, start, end);
    }
    return end;
  }

  /** Makes the head's text to be had by `fields.textAt`. @param bytes that were parsed */
  takeText(bytes: Buffer): void {
    this.fields.takeText(bytes, this.#start, this.#start + this.byteLength);
  }

  #parseRequestLine(bytes: Uint8Array, start: number, stop: number): number {
    let at = start;
    while (at < stop && (byteClass[bytes[at]!]! & TOKEN) !== 0) at++;
    if (at === stop) return at - start > methodMaxBytes ? -Problem.UnknownMethod : 0;
    if (bytes[at] !== SP || at === start) return -Problem.Method;
    const method = findMethod(bytes, start, at);
    if (method === null) return -Problem.UnknownMethod;
    this.method = method;
    at++;
    const targetStart = at;
    const targetStop = Math.min(stop, targetStart + this.#limits.targetMaxBytes + 1);
    while (at < targetStop && (byteClass[bytes[at]!]! & TARGET) !== 0) at++;
    if (at - targetStart > this.#limits.targetMaxBytes) return -Problem.TargetTooLong;
    if (at === stop) return 0;
    if (bytes[at] !== SP || at === targetStart) return -Problem.Target;
    this.targetStart = targetStart;
    this.targetEnd = at;
    return this.#parseVersion(bytes, at + 1, stop);
  }

  #parseVersion(bytes: Uint8Array, start: number, stop: number): number {
    for (let i = 0; i < versionBytes + 2; i++) {
      const at = start + i;
      if (at === stop) return 0;
      const byte = bytes[at]!;
      if (i < HTTP_1.length) {
        if (byte !== HTTP_1[i]) return i === 5 && isDigit(byte) ? -Problem.UnsupportedVersion : -Problem.Version;
      } else if (i === HTTP_1.length) {
        if (byte !== 0x30 && byte !== 0x31) return isDigit(byte) ? -Problem.UnsupportedVersion : -Problem.Version;
        this.minorVersion = byte - 0x30;
      } else if (byte !== (i === versionBytes ? CR : LF)) return -Problem.LineEnd;
    }
    return start + versionBytes + 2;
  }

  /** What the fields say together: how long the request is, what follows it. */
  #interpret(bytes: Uint8Array, headEnd: number): number {
    this.framing = Framing.None;
    this.contentLength = 0;
    this.keepsAlive = this.minorVersion === 1;
    this.expectsContinue = false;
    this.hasTrailersOption = false;
    this.asksForAttempts = false;
    this.acceptIndex = -1;
    this.traceparentIndex = -1;
    this.#hasTraceContext = false;
    this.#hostIndex = -1;
    this.#connectionOptions = 0;
    this.#upgrades = 0;
    this.asksForWebsocket = false;
    this.hasLength = false;
    const { fields } = this;
    for (let index = 0; index < fields.count; index++) {
      if (fields.kind[index] === Field.Other) continue;
      const problem = this.#interpretField(index, bytes);
      if (problem !== 0) return problem;
    }
    if (this.#hasTraceContext) this.traceparentIndex = readTraceContext(fields, bytes);
    if (this.framing === Framing.None) this.expectsContinue = false;
    // Any other upgrade is declined as RFC 9110 section 7.8 lets a server do: the request is answered without it.
    if (this.#upgrades === WEBSOCKET) this.asksForWebsocket = this.#canUpgrade();
    return this.#checkFraming() || headEnd;
  }

  /** A body, or another method, would leave open where HTTP ends and the other protocol begins (RFC 6455 section 4.1). */
  #canUpgrade(): boolean {
    const isNominated = (this.#connectionOptions & UPGRADE) !== 0;
    return isNominated && this.minorVersion === 1 && this.framing === Framing.None && this.method.name === "GET";
  }

  /** Source: RFC 9112 section 6.1. @returns 0 or a Problem, negated, as the following ones do */
  #checkFraming(): number {
    if (this.framing !== Framing.Chunked) return 0;
    if (this.hasLength) return -Problem.LengthAndEncoding;
    return this.minorVersion === 0 ? -Problem.EncodingInOldVersion : 0;
  }

  #interpretField(index: number, bytes: Uint8Array): number {
    const { fields } = this;
    const start = fields.valueStart[index]!;
    const end = fields.valueEnd[index]!;
    switch (fields.kindAt(index)) {
      case Field.Host:
        if (this.#hostIndex >= 0) return -Problem.HostDuplicate;
        this.#hostIndex = index;
        return 0;
      case Field.ContentLength: {
        if (this.hasLength) return -Problem.ContentLengthDuplicate;
        const length = readContentLength(bytes, start, end);
        if (length < 0) return -Problem.ContentLength;
        this.hasLength = true;
        this.contentLength = length;
        if (length > 0 && this.framing === Framing.None) this.framing = Framing.Length;
        return 0;
      }
      case Field.TransferEncoding:
        if (this.framing === Framing.Chunked || !isChunked(bytes, start, end)) return -Problem.TransferEncoding;
        // Allowed, but Node's parser takes it for a part of the coding's name.
        if (endsWithTab(bytes, end)) return -Problem.TransferEncoding;
        this.framing = Framing.Chunked;
        return 0;
      case Field.Connection: {
        const asked = readConnectionOptions(fields, index, bytes);
        if (asked < 0) return asked;
        // An HTTP/1.0 client that asks for keep-alive is answered all the same and then closed.
        if ((asked & CLOSE) !== 0) this.keepsAlive = false;
        this.#connectionOptions |= asked;
        return 0;
      }
      case Field.Upgrade:
        this.#upgrades |= equalsIgnoringCase(bytes, start, end, "websocket") ? WEBSOCKET : OTHER_PROTOCOL;
        return 0;
      case Field.Te:
        if (hasListMember(bytes, start, end, "trailers")) this.hasTrailersOption = true;
        return 0;
      case Field.PenstockDebug:
        if (hasListMember(bytes, start, end, "attempts")) this.asksForAttempts = true;
        return 0;
      case Field.Expect:
        if (!equalsIgnoringCase(bytes, start, end, "100-continue")) return -Problem.Expectation;
        this.expectsContinue = this.minorVersion === 1;
        return 0;
      case Field.Accept:
        if (this.acceptIndex < 0) this.acceptIndex = index;
        return 0;
      case Field.Traceparent:
      case Field.Tracestate:
        this.#hasTraceContext = true;
        return 0;
      default:
        return 0;
    }
  }

  #readHost(bytes: Uint8Array): number {
    this.hostStart = 0;
    this.hostNameEnd = 0;
    this.authorityEnd = 0;
    if (this.#hostIndex < 0) return this.minorVersion === 1 ? -Problem.HostMissing : 0;
    return this.#takeAuthority(bytes, this.fields.valueStart[this.#hostIndex]!, this.fields.valueEnd[this.#hostIndex]!);
  }

  #takeAuthority(bytes: Uint8Array, start: number, end: number): number {
    const nameEnd = hostEnd(bytes, start, end);
    if (nameEnd < 0) return -Problem.HostInvalid;
    this.hostStart = start;
    this.hostNameEnd = nameEnd;
    this.authorityEnd = end;
    return 0;
  }

  /** Origin-form, or absolute-form of "http"; the forms of tunnels and of OPTIONS * are not for a gateway. */
  #readTarget(bytes: Uint8Array): number {
    if (this.method.name === "CONNECT") return -Problem.TunnelMethod;
    if (this.method.name === "TRACE") return -Problem.TraceMethod;
    const first = bytes[this.targetStart];
    if (first === SLASH) return 0;
    if (first === ASTERISK && this.targetEnd - this.targetStart === 1) return -Problem.AsteriskForm;
    const schemeEnd = this.targetStart + 7;
    if (schemeEnd > this.targetEnd || !equalsIgnoringCase(bytes, this.targetStart, schemeEnd, "http://")) {
      return this.#isSecureTarget(bytes) ? -Problem.Misdirected : -Problem.Target;
    }
    let at = schemeEnd;
    while (at < this.targetEnd && bytes[at] !== SLASH && bytes[at] !== QUESTION) at++;
    this.targetStart = at;
    return this.#takeAuthority(bytes, schemeEnd, at);
  }

  /** What is asked for is to be had over TLS alone (RFC 9110 section 7.4). */
  #isSecureTarget(bytes: Uint8Array): boolean {
    const end = this.targetStart + 8;
    return end <= this.targetEnd && equalsIgnoringCase(bytes, this.targetStart, end, "https://");
  }
}

/** Whether there is a tab among the white space after a value (RFC 9110 section 5.6.3). */
function endsWithTab(bytes: Uint8Array, valueEnd: number): boolean {
  let at = valueEnd;
  while (bytes[at] === SP) at++;
  return bytes[at] === HTAB;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

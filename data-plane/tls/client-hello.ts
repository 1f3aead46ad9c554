/** What a ClientHello says, as far as it decides who goes on with the connection. */
export interface ClientHello {
  /** As sent, in lower case and without a trailing dot; "" for none. */
  readonly serverName: string;
}

/** Why bytes are no ClientHello that is taken. */
export type HelloProblem = "not_tls" | "too_large" | "malformed";

/** The hello, what is wrong with it, or that more bytes are needed to say. */
export type HelloReading = ClientHello | HelloProblem | "incomplete";

const recordHeaderBytes = 5;
const handshakeRecord = 0x16;
const majorVersion = 0x03;
/** RFC 8446 section 5.1. */
const recordMaxBytes = 16_384;
/** Nobody needs more; and a hello that comes byte by byte is read again with each of them. */
const recordMaxCount = 128;
const clientHello = 0x01;
const messageHeaderBytes = 4;
const serverNameExtension = 0;
const hostNameType = 0;
/** RFC 6066 section 3 leaves it to the DNS: 253, and a trailing dot. */
const serverNameMaxBytes = 254;

/**
 * Reads a ClientHello from the first bytes of a connection, [0, end) of `bytes`, without taking part in the handshake:
 * whoever does gets the same bytes. It may be spread over records in any way. What is read is bounded by
 * `helloMaxBytes`, and each byte is looked at a constant number of times.
 *
 * Source: RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 6066 section 3.
 * @param helloMaxBytes of the message, without the framing of records
 */
export function readClientHello(bytes: Uint8Array, end: number, helloMaxBytes: number): HelloReading {
  const message = joinRecords(bytes, end, helloMaxBytes);
  return message instanceof Uint8Array ? readMessage(message) : message;
}

/** The first handshake message, out of the records that carry it. */
function joinRecords(bytes: Uint8Array, end: number, helloMaxBytes: number): Uint8Array | HelloProblem | "incomplete" {
  const pieces: Uint8Array[] = [];
  let joined = 0;
  let wanted = messageHeaderBytes;
  for (let at = 0; pieces.length < recordMaxCount; ) {
    const problem = recordProblem(bytes, at, end);
    if (problem !== null) return problem;
    const pieceStart = at + recordHeaderBytes;
    const pieceBytes = (bytes[at + 3]! << 8) | bytes[at + 4]!;
    const piece = bytes.subarray(pieceStart, Math.min(pieceStart + pieceBytes, end));
    pieces.push(piece);
    joined += piece.length;
    if (joined >= messageHeaderBytes) {
      const head = pieces.length === 1 ? piece : concat(pieces, messageHeaderBytes);
      if (head[0] !== clientHello) return "malformed";
      wanted = messageHeaderBytes + ((head[1]! << 16) | (head[2]! << 8) | head[3]!);
      if (wanted > helloMaxBytes) return "too_large";
      if (joined >= wanted) return concat(pieces, wanted);
    }
    if (piece.length < pieceBytes) return "incomplete";
    at = pieceStart + pieceBytes;
  }
  return "malformed";
}

/** What is wrong with the header of the record at `at`, as far as it is there. */
function recordProblem(bytes: Uint8Array, at: number, end: number): HelloProblem | "incomplete" | null {
  // Only the first record decides whether this is TLS at all.
  const otherwise = at === 0 ? "not_tls" : "malformed";
  if (at < end && bytes[at] !== handshakeRecord) return otherwise;
  if (at + 1 < end && bytes[at + 1] !== majorVersion) return otherwise;
  if (at + recordHeaderBytes > end) return "incomplete";
  const pieceBytes = (bytes[at + 3]! << 8) | bytes[at + 4]!;
  // Empty records of the handshake are not allowed, and would be a loop without progress.
  return pieceBytes === 0 || pieceBytes > recordMaxBytes ? "malformed" : null;
}

function concat(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!.subarray(0, length);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece.subarray(0, length - at), at);
    at += piece.length;
    if (at >= length) break;
  }
  return whole;
}

/** Fields of a message, one after the other, read where they lie: a hello has some twenty. */
class Fields {
  readonly bytes: Uint8Array;
  /** Of the next field. */
  at: number;
  /** Past the last one. */
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  /** @returns -1 past the end */
  number(byteCount: 1 | 2): number {
    if (this.at + byteCount > this.end) return -1;
    const first = this.bytes[this.at++]!;
    return byteCount === 1 ? first : (first << 8) | this.bytes[this.at++]!;
  }

  /** @returns whether there are so many bytes */
  skip(length: number): boolean {
    if (length < 0 || this.at + length > this.end) return false;
    this.at += length;
    return true;
  }

  /** Passes over a vector: its length in so many bytes, then itself. */
  skipVector(lengthBytes: 1 | 2): boolean {
    return this.skip(this.number(lengthBytes));
  }

  /** What is in a vector, null when it is not whole. */
  vector(lengthBytes: 1 | 2): Fields | null {
    const length = this.number(lengthBytes);
    return this.skip(length) ? new Fields(this.bytes, this.at - length, this.at) : null;
  }
}

function readMessage(message: Uint8Array): ClientHello | "malformed" {
  const fields = new Fields(message, messageHeaderBytes, message.length);
  // Version and random, session, cipher suites, compressions.
  const isWhole = fields.skip(2 + 32) && fields.skipVector(1) && fields.skipVector(2) && fields.skipVector(1);
  if (!isWhole) return "malformed";
  // Before TLS 1.3 a hello may have none (RFC 5246 section 7.4.1.2).
  if (fields.isAtEnd) return { serverName: "" };
  const extensions = fields.vector(2);
  if (extensions === null || !fields.isAtEnd) return "malformed";
  return readExtensions(extensions);
}

function readExtensions(extensions: Fields): ClientHello | "malformed" {
  let serverName: string | null = null;
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    if (type < 0) return "malformed";
    if (type !== serverNameExtension) {
      if (!extensions.skipVector(2)) return "malformed";
      continue;
    }
    // Twice: readers could differ on which one counts.
    if (serverName !== null) return "malformed";
    serverName = readServerName(extensions.vector(2));
    if (serverName === null) return "malformed";
  }
  return { serverName: serverName ?? "" };
}

/** The one name of a list of names; null when it is not of that form. */
function readServerName(body: Fields | null): string | null {
  const names = body?.vector(2) ?? null;
  if (names === null || !body!.isAtEnd) return null;
  const type = names.number(1);
  const name = names.vector(2);
  if (type !== hostNameType || name === null || !names.isAtEnd) return null;
  const length = name.end - name.at;
  if (length === 0 || length > serverNameMaxBytes) return null;
  let text = "";
  for (let i = name.at; i < name.end; i++) {
    const byte = name.bytes[i]!;
    if (byte <= 0x20 || byte >= 0x7f) return null;
    text += String.fromCharCode(byte);
  }
  return plainServerName(text);
}

/** A server name as it is compared: in lower case, without the trailing dot of a fully qualified one. */
export function plainServerName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

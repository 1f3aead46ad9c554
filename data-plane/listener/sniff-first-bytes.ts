/** What a connection speaks, as its first bytes tell. */
export const Spoken = {
  /** Too few bytes to say. At most 23 of them leave it open. */
  Undecided: 0,
  Http1: 1,
  Http2: 2,
  Tls: 3,
} as const;
export type Spoken = (typeof Spoken)[keyof typeof Spoken];

/** Source: RFC 9113 section 3.4. */
const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
/** A TLS record of the handshake, of any version there is (RFC 8446 section 5.1). */
const tlsHandshake = 0x16;
const tlsMajorVersion = 0x03;

/**
 * Tells protocols apart by the first bytes of a connection, [0, end) of `bytes`. Whatever is neither TLS nor the whole
 * preface of HTTP/2 is HTTP/1: its parser says what is wrong with it.
 *
 * Cost: one comparison, unless the first byte is a "P" or no character of a method.
 */
export function sniffFirstBytes(bytes: Uint8Array, end: number): Spoken {
  if (end === 0) return Spoken.Undecided;
  if (bytes[0] === tlsHandshake) {
    if (end === 1) return Spoken.Undecided;
    return bytes[1] === tlsMajorVersion ? Spoken.Tls : Spoken.Http1;
  }
  const compared = Math.min(end, http2Preface.length);
  for (let at = 0; at < compared; at++) if (bytes[at] !== http2Preface[at]) return Spoken.Http1;
  return compared === http2Preface.length ? Spoken.Http2 : Spoken.Undecided;
}

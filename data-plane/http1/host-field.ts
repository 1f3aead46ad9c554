import { byteClass, COLON, DIGIT, HOST_NAME, hexValue } from "./byte-class.ts";

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const DOT = 0x2e;
const hostMaxBytes = 255;

/**
 * Where the host in [start, end) ends when the bytes are a valid `uri-host [":" port]`, or -1. Lists, user
 * info, spaces, escapes and ports above 65,535 are not valid: they are read differently by different servers.
 *
 * Source: RFC 9110 section 7.2, RFC 3986 section 3.2.2, without sub-delims and percent-encoding.
 * @returns position of the colon before the port, or `end` when there is no port
 */
export function hostEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (bytes[at] === OPEN_BRACKET && start < end) {
    at++;
    while (at < end && isAddressByte(bytes[at]!)) at++;
    if (at === end || bytes[at] !== CLOSE_BRACKET || at - start < 3) return -1;
    at++;
  } else {
    while (at < end && (byteClass[bytes[at]!]! & HOST_NAME) !== 0) at++;
  }
  if (at === start || at - start > hostMaxBytes) return -1;
  if (at === end) return at;
  return bytes[at] === COLON && readPort(bytes, at + 1, end) >= 0 ? at : -1;
}

/** The port in [start, end), 0..65535, or -1. */
export function readPort(bytes: Uint8Array, start: number, end: number): number {
  if (start === end || end - start > 5) return -1;
  let port = 0;
  for (let at = start; at < end; at++) {
    if ((byteClass[bytes[at]!]! & DIGIT) === 0) return -1;
    port = port * 10 + bytes[at]! - 0x30;
  }
  return port <= 65_535 ? port : -1;
}

/** Bytes of an IPv6 address. Whether they make one is for who connects to it; no one connects to a Host. */
function isAddressByte(byte: number): boolean {
  return hexValue[byte] !== 255 || byte === COLON || byte === DOT;
}

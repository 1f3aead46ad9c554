import { byteClass, DIGIT } from "./byte-class.ts";

/** How a message's body ends. */
export const Framing = {
  None: 0,
  /** After Content-Length bytes. */
  Length: 1,
  Chunked: 2,
  /** When the server closes: only in responses. */
  UntilClose: 3,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** Fifteen digits stay below 2^53: every length is exact as a number. */
const lengthMaxDigits = 15;

/**
 * The Content-Length in [start, end), or -1. Digits only, no sign, no leading zeros (octal to some), no list.
 *
 * Source: RFC 9110 section 8.6, RFC 9112 section 6.3.
 */
export function readContentLength(bytes: Uint8Array, start: number, end: number): number {
  const digits = end - start;
  if (digits === 0 || digits > lengthMaxDigits) return -1;
  if (bytes[start] === 0x30 && digits > 1) return -1;
  let length = 0;
  for (let at = start; at < end; at++) {
    if ((byteClass[bytes[at]!]! & DIGIT) === 0) return -1;
    length = length * 10 + bytes[at]! - 0x30;
  }
  return length;
}

/** Whether [start, end) is just this text. */
export function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Whether [start, end) spells `word` (given in lower case), in any case. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = bytes[start + i]!;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    if (lower !== word.charCodeAt(i)) return false;
  }
  return true;
}

/**
 * Whether the value of Transfer-Encoding is exactly `chunked`, the only coding that is taken: lists, other
 * codings and parameters are where servers disagree about where a message ends.
 */
export function isChunked(bytes: Uint8Array, start: number, end: number): boolean {
  return equalsIgnoringCase(bytes, start, end, "chunked");
}

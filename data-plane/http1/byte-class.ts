/**
 * What a byte may be in HTTP/1.1, as bits: one table lookup per byte instead of a chain of comparisons.
 *
 * Source: RFC 9110 section 5.6.2 (token), RFC 9112 section 5 (field values), RFC 3986 (targets).
 */
export const TOKEN = 1;
/** HTAB, SP, visible ASCII, and bytes from 0x80 on (obs-text): never NUL, CR, LF or another control. */
export const FIELD_VALUE = 2;
/** Visible ASCII without "#": a fragment never travels, and bytes above 0x7f must have been escaped. */
export const TARGET = 4;
export const DIGIT = 8;
/** Letters, digits, "-", ".", "_", "~": what a registered name consists of in practice. */
export const HOST_NAME = 16;

export const byteClass = new Uint8Array(256);

for (let byte = 0x21; byte < 0x7f; byte++) byteClass[byte]! |= FIELD_VALUE | TARGET;
for (let byte = 0x80; byte < 0x100; byte++) byteClass[byte]! |= FIELD_VALUE;
byteClass[0x09]! |= FIELD_VALUE;
byteClass[0x20]! |= FIELD_VALUE;
byteClass[0x23]! &= ~TARGET;
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") {
  byteClass[char.charCodeAt(0)]! |= TOKEN | HOST_NAME;
}
for (const char of "!#$%&'*+-.^_`|~") byteClass[char.charCodeAt(0)]! |= TOKEN;
for (const char of "-._~") byteClass[char.charCodeAt(0)]! |= HOST_NAME;
for (const char of "0123456789") byteClass[char.charCodeAt(0)]! |= DIGIT;

/** ASCII letters in lower case, every other byte itself. */
export const lowerCase = new Uint8Array(256);
/** The same with "_" read as "-": how CGI-like servers see header names. */
export const foldedName = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  lowerCase[byte] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
  foldedName[byte] = byte === 0x5f ? 0x2d : lowerCase[byte]!;
}

/** Value of a hexadecimal digit, or 255. */
export const hexValue = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  hexValue[digit.charCodeAt(0)] = value;
  hexValue[digit.toUpperCase().charCodeAt(0)] = value;
}

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const UNDERSCORE = 0x5f;

/** The text, or its beginning and "…" where it takes more bytes in UTF-8. */
export function shortenText(text: string, maxBytes: number): string {
  const encoder = new TextEncoder();
  const bytes = new Uint8Array(maxBytes);
  if (encoder.encodeInto(text, bytes).read === text.length) return text;
  const ellipsis = "…";
  // It stops before a character that does not fit, and so never within one.
  const { read } = encoder.encodeInto(text, bytes.subarray(0, maxBytes - encoder.encode(ellipsis).length));
  return text.slice(0, read) + ellipsis;
}

const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e || code === DOUBLE_QUOTE || code === BACKSLASH) return false;
  }
  return true;
}

/**
 * Text inside a JSON string, in printable ASCII: no line end, no quote, no escape sequence of a terminal, whoever
 * sent it.
 */
export function escaped(text: string): string {
  if (isPlain(text)) return text;
  return text.replaceAll(/[^ !#-[\]-~]/g, (char) => {
    // By code unit: a character outside the basic plane becomes its two surrogates, as JSON wants it.
    if (char === '"' || char === "\\") return `\\${char}`;
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

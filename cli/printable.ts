// What a node, a stranger or an API user calls something may hold what a terminal acts on. All that is printed goes through
// one of these.

/** Control characters (C0, DEL and C1), other ends of lines, and what turns the direction of the text around it. */
const acted = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** A text on one line, as long as it was, without what a terminal would act on. */
export function printable(text: string): string {
  return text.replace(acted, (char) => (/\s/.test(char) ? " " : "?"));
}

/** A text of somebody else's on one line, without what a terminal would act on; cut where it is longer. */
export function oneLine(text: string, maxLength: number): string {
  const line = text.replace(/[\s\p{Cc}\p{Bidi_Control}]+/gu, " ");
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 3)}...`;
}

/** Lines as they are printed: each stays one, whatever is in it. */
export function linesText(lines: readonly string[]): string {
  return `${lines.map(printable).join("\n")}\n`;
}

/** A value as JSON for programs, of which a terminal acts on nothing either. @param indent default: on one line */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  // A line end is JSON's own: in a text it is escaped already.
  return `${text.replace(acted, (char) => (char === "\n" ? char : escaped(char)))}\n`;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

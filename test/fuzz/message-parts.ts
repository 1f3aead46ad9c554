/** A message cut where mutations need it cut. Messages here have no bare line ends before they are mutated. */
export interface MessageParts {
  /** Without its CRLF. */
  readonly startLine: string;
  /** Without their CRLF. */
  readonly lines: readonly string[];
  readonly body: string;
}

export function partsOf(text: string): MessageParts {
  const begin = text.startsWith("\r\n") ? 2 : 0;
  const headEnd = text.indexOf("\r\n\r\n", begin);
  const [startLine = "", ...lines] = text.slice(begin, headEnd).split("\r\n");
  return { startLine, lines, body: text.slice(headEnd + 4) };
}

export function joined(parts: MessageParts): string {
  return `${[parts.startLine, ...parts.lines].join("\r\n")}\r\n\r\n${parts.body}`;
}

/** The text with [start, end) replaced. */
export function spliced(text: string, start: number, end: number, by: string): string {
  return text.slice(0, start) + by + text.slice(end);
}

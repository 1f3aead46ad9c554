import type { TopLine } from "./top-table.ts";

/** The terminal, as far as a screen needs it; `process.stdout` is one. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Sequences of ECMA-48, and of xterm for the other screen, which every terminal of today knows. */
const otherScreen = "\x1b[?1049h\x1b[?25l";
const firstScreen = "\x1b[?25h\x1b[?1049l";
const home = "\x1b[H";
const endOfLine = "\x1b[K";
const endOfScreen = "\x1b[J";
const plain = "\x1b[0m";
const bold = "\x1b[1m";
const red = "\x1b[31m";

/** A page that is drawn in place of the one before, on a screen of its own: what the terminal showed is there again after it. */
export class TopScreen {
  readonly #terminal: Terminal;
  readonly #isColoured: boolean;
  #isOpen = true;

  constructor(terminal: Terminal, isColoured: boolean) {
    this.#terminal = terminal;
    this.#isColoured = isColoured;
    terminal.write(otherScreen);
  }

  /** Draws as much as there is room for; nothing once it is closed. */
  draw(heading: string, lines: readonly TopLine[]): void {
    if (!this.#isOpen) return;
    // A terminal that knows no size says nothing, or 0.
    const columns = this.#terminal.columns || 80;
    const rows = this.#terminal.rows || 24;
    const roomCount = Math.max(rows - 2, 1);
    const shown = lines.slice(0, lines.length > roomCount ? roomCount - 1 : roomCount);
    const drawn = [heading.slice(0, columns), ...shown.map((line) => this.#coloured(line, columns))];
    const leftOut = lines.length - shown.length;
    if (leftOut > 0) drawn.push(`... ${leftOut} more lines; --sort brings others up here`.slice(0, columns));
    // In one write and without clearing first: nothing flickers.
    this.#terminal.write(`${home}${drawn.map((text) => text + endOfLine).join("\r\n")}${endOfScreen}`);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#terminal.write(firstScreen);
  }

  #coloured({ text, kind, isUnhealthy }: TopLine, columns: number): string {
    const cut = text.slice(0, columns);
    if (!this.#isColoured || (kind !== "upstream" && !isUnhealthy)) return cut;
    return `${kind === "upstream" ? bold : ""}${isUnhealthy ? red : ""}${cut}${plain}`;
  }
}

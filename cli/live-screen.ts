import { printable } from "./printable.ts";

/** A line of a page. */
export interface ScreenLine {
  readonly text: string;
  /** Stands above the lines that follow. */
  readonly isHeading: boolean;
  readonly isUnhealthy: boolean;
}

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
export class LiveScreen {
  readonly #terminal: Terminal;
  readonly #isColoured: boolean;
  readonly #moreHint: string;
  #isOpen = true;

  /** @param moreHint said of lines for which there is no room: how to see them */
  constructor(terminal: Terminal, isColoured: boolean, moreHint = "") {
    this.#terminal = terminal;
    this.#isColoured = isColoured;
    this.#moreHint = moreHint;
    terminal.write(otherScreen);
  }

  /** Draws as much as there is room for; nothing once it is closed. */
  draw(heading: string, lines: readonly ScreenLine[]): void {
    if (!this.#isOpen) return;
    // A terminal that knows no size says nothing, or 0.
    const columns = this.#terminal.columns || 80;
    const rows = this.#terminal.rows || 24;
    const roomCount = Math.max(rows - 2, 1);
    const shown = lines.slice(0, lines.length > roomCount ? roomCount - 1 : roomCount);
    const drawn = [printable(heading).slice(0, columns), ...shown.map((line) => this.#coloured(line, columns))];
    const leftOut = lines.length - shown.length;
    if (leftOut > 0) drawn.push(`... ${leftOut} more lines${this.#moreHint}`.slice(0, columns));
    // In one write and without clearing first: nothing flickers.
    this.#terminal.write(`${home}${drawn.map((text) => text + endOfLine).join("\r\n")}${endOfScreen}`);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#terminal.write(firstScreen);
  }

  #coloured({ text, isHeading, isUnhealthy }: ScreenLine, columns: number): string {
    const cut = printable(text).slice(0, columns);
    if (!this.#isColoured || !(isHeading || isUnhealthy)) return cut;
    return `${isHeading ? bold : ""}${isUnhealthy ? red : ""}${cut}${plain}`;
  }
}

export interface LivePage {
  readonly isColoured: boolean;
  readonly moreHint?: string;
  heading(): string;
  lines(): readonly ScreenLine[];
}

/** Changes that come together make one drawing. */
const drawDelayMs = 100;

/**
 * Shows a page on the terminal, and draws it again when that changes its size and when it is told to, until `follow` ends.
 *
 * @param follow is given what draws at once, and what draws soon, together with what changes until then
 */
export async function showLivePage(
  page: LivePage,
  follow: (draw: () => void, drawSoon: () => void) => Promise<void>,
): Promise<void> {
  const screen = new LiveScreen(process.stdout, page.isColoured, page.moreHint);
  const draw = () => screen.draw(page.heading(), page.lines());
  // However this ends, the terminal is as it was before.
  const close = () => screen.close();
  process.once("exit", close);
  process.stdout.on("resize", draw);
  let drawing: NodeJS.Timeout | undefined;
  const drawSoon = () => {
    drawing ??= setTimeout(() => {
      drawing = undefined;
      draw();
    }, drawDelayMs);
  };
  try {
    draw();
    await follow(draw, drawSoon);
  } finally {
    clearTimeout(drawing);
    process.stdout.off("resize", draw);
    process.off("exit", close);
    close();
  }
}

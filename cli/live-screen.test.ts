import { describe, expect, it } from "vitest";
import { LiveScreen, type ScreenLine } from "./live-screen.ts";

/** What a terminal shows after what was written, as far as a page uses it; ECMA-48. */
function shown(written: string): string[] {
  const page = written.slice(written.lastIndexOf("\x1b[H") + 3);
  return page.split("\x1b[J")[0]!.replaceAll("\x1b[K", "").split("\r\n");
}

function rig(isColoured = false, size: { columns?: number; rows?: number } = { columns: 40, rows: 6 }) {
  const written: string[] = [];
  const screen = new LiveScreen(
    { ...size, write: (text) => written.push(text) },
    isColoured,
    "; --sort brings others up here",
  );
  return { screen, written };
}

const lines = (count: number): ScreenLine[] =>
  Array.from({ length: count }, (_, i) => ({ text: `line ${i}`, isHeading: false, isUnhealthy: false }));

describe("LiveScreen", () => {
  it("draws over what was there, in one write, and gives the terminal back once", () => {
    const { screen, written } = rig();
    expect(written).toEqual(["\x1b[?1049h\x1b[?25l"]);
    screen.draw("heading", lines(4));
    screen.draw("later", lines(1));
    expect(written).toHaveLength(3);
    expect(shown(written[1]!)).toEqual(["heading", "line 0", "line 1", "line 2", "line 3"]);
    expect(shown(written[2]!)).toEqual(["later", "line 0"]);
    expect(written[2]!.endsWith("\x1b[J")).toBe(true);
    screen.close();
    screen.close();
    screen.draw("late", lines(1));
    expect(written.slice(3)).toEqual(["\x1b[?25h\x1b[?1049l"]);
  });

  it("never scrolls and never wraps, and says how much is left out", () => {
    const { screen, written } = rig();
    screen.draw("x".repeat(50), [{ text: "y".repeat(50), isHeading: true, isUnhealthy: false }, ...lines(20)]);
    const page = shown(written.at(-1)!);
    expect(page).toHaveLength(5);
    expect(page.slice(0, 2)).toEqual(["x".repeat(40), "y".repeat(40)]);
    expect(page.at(-1)?.trimEnd()).toBe("... 18 more lines; --sort brings others");
  });

  it("draws nothing of a text that a terminal would act on", () => {
    const { screen, written } = rig();
    const text = "a\x1b[2J\n\x9b31m\u202eb";
    screen.draw(text, [{ text, isHeading: false, isUnhealthy: false }]);
    expect(shown(written.at(-1)!)).toEqual(["a?[2J ?31m?b", "a?[2J ?31m?b"]);
  });

  it.each([{}, { columns: 0, rows: 0 }])("takes a terminal of size %o for one of 80 by 24", (size) => {
    const { screen, written } = rig(false, size);
    screen.draw("heading", lines(100));
    expect(shown(written.at(-1)!)).toHaveLength(23);
  });

  it("colours what is out, and nothing where it must not", () => {
    const out: ScreenLine[] = [
      { text: "u", isHeading: true, isUnhealthy: true },
      { text: "v", isHeading: true, isUnhealthy: false },
      { text: "e", isHeading: false, isUnhealthy: true },
    ];
    const [coloured, plain] = [rig(true), rig(false)];
    coloured.screen.draw("heading", out);
    plain.screen.draw("heading", out);
    expect(shown(coloured.written.at(-1)!).slice(1)).toEqual([
      "\x1b[1m\x1b[31mu\x1b[0m",
      "\x1b[1mv\x1b[0m",
      "\x1b[31me\x1b[0m",
    ]);
    expect(shown(plain.written.at(-1)!).slice(1)).toEqual(["u", "v", "e"]);
  });
});

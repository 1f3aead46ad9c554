import { expect, it, vi } from "vitest";
import { HttpDate } from "./http-date.ts";

it("says the second it is, whichever it was asked for before", () => {
  const date = new HttpDate();
  const atMs = Date.UTC(1994, 10, 6, 8, 49, 37);
  expect([999, 0, -1, 1_000, 500].map((afterMs) => date.at(atMs + afterMs).slice(17))).toEqual([
    "08:49:37 GMT",
    "08:49:37 GMT",
    "08:49:36 GMT",
    "08:49:38 GMT",
    "08:49:37 GMT",
  ]);
  expect(date.at(atMs)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
});

it("says it as a line, anew after a tenth of a second", () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5), toFake: ["Date"] });
  try {
    const date = new HttpDate();
    expect(date.lineAt(50)).toBe("Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n");
    vi.setSystemTime(Date.UTC(2026, 0, 2, 3, 4, 6));
    expect(date.lineAt(149)).toBe("Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n");
    expect(date.lineAt(150)).toBe("Date: Fri, 02 Jan 2026 03:04:06 GMT\r\n");
  } finally {
    vi.useRealTimers();
  }
});

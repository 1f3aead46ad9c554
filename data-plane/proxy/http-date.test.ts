import { expect, it } from "vitest";
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

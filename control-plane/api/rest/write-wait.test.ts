import { describe, expect, it } from "vitest";
import { writeHeaders } from "./write-headers.ts";
import { parseWait } from "./write-wait.ts";

describe("parseWait", () => {
  const parse = (query: string) => {
    const parsed = parseWait(new URLSearchParams(query));
    return parsed.ok ? parsed.wait : parsed.message;
  };
  const all = (timeoutMs: number) => ({ type: "nodes", who: "all", timeoutMs });

  it.each([
    { query: "", want: { type: "nodes", who: "keeping-up", timeoutMs: 1000 } },
    { query: "wait=none", want: { type: "none" } },
    { query: "wait=applied", want: all(5000) },
    { query: "wait=applied&timeout=500ms", want: all(500) },
    { query: "wait=applied&timeout=30s", want: all(30_000) },
    { query: "wait=applied&timeout=60m", want: all(3_600_000) },
    { query: "unknown=1", want: { type: "nodes", who: "keeping-up", timeoutMs: 1000 } },
  ])("reads '$query'", ({ query, want }) => {
    expect(parse(query)).toEqual(want);
  });

  it.each(["30", "0s", "-1s", "1.5s", "2h", "61m", "s", ""])("refuses a timeout of '%s'", (timeout) => {
    expect(parse(`wait=applied&timeout=${timeout}`)).toMatch(/timeout must be a time from 1ms to 60m/);
  });

  it("refuses another wait, and a timeout of no wait", () => {
    expect(parse("wait=yes")).toBe("wait must be 'applied' or 'none'");
    expect(parse("timeout=5s")).toBe("timeout needs wait=applied");
    expect(parse("wait=none&timeout=5s")).toBe("timeout needs wait=applied");
  });
});

describe("writeHeaders", () => {
  it("says the revision and how many nodes serve it", () => {
    expect(writeHeaders(41, { appliedCount: 1, nodeCount: 2 }, [])).toEqual({
      "Penstock-Revision": "41",
      "Penstock-Applied": "1/2",
    });
  });

  it("leaves out the nodes when nobody waited", () => {
    expect(writeHeaders(41, null, [])).toEqual({ "Penstock-Revision": "41" });
  });

  it("carries any warning in characters that a header has", () => {
    const warnings = [
      { field: "host", message: "'円\r\nX: y' 100% \u0000\ud800" },
      { field: "", message: "plain" },
    ];
    const lines = writeHeaders(1, null, warnings)["Penstock-Warning"] as string[];
    expect(lines).toEqual(["host: '%E5%86%86%0D%0AX: y' 100%25 %00%EF%BF%BD", "plain"]);
  });

  it("bounds the number and the length of warnings", () => {
    const warnings = Array.from({ length: 25 }, () => ({ field: "f", message: "円".repeat(1000) }));
    const lines = writeHeaders(1, null, warnings)["Penstock-Warning"] as string[];
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe("and 5 more");
    expect(Math.max(...lines.map((line) => line.length))).toBe(400);
  });
});

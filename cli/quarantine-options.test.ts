import { describe, expect, it } from "vitest";
import { parseQuarantineOptions } from "./quarantine-options.ts";

const parse = (...argv: string[]) => parseQuarantineOptions(argv, {});
const adminUrl = "http://localhost:8001";

describe("parseQuarantineOptions", () => {
  it("lists where it is told nothing", () => {
    expect(parse()).toEqual({ type: "command", command: { name: "list" }, adminUrl });
    expect(parse("list")).toEqual(parse());
    expect(parse("release", "abc", "--admin", "http://cp:1")).toEqual({
      ...{ type: "command", command: { name: "release", id: "abc" }, adminUrl: "http://cp:1" },
    });
    expect(parseQuarantineOptions([], { PENSTOCK_ADMIN: "https://cp:1" })).toMatchObject({ adminUrl: "https://cp:1" });
    expect(parse("--help").type).toBe("help");
  });

  it.each([
    { argv: ["hold"], line: /needs one of list, release ID/ },
    { argv: ["list", "abc"], line: /too many words/ },
    { argv: ["release"], line: /needs the id/ },
    { argv: ["--admin=cp:1"], line: /not an http URL/ },
    { argv: ["--force"], line: /unknown option "--force"/ },
  ])("refuses $argv", ({ argv, line }) => {
    const parsed = parse(...argv);
    expect(parsed.type === "problems" ? parsed.lines.join("\n") : "").toMatch(line);
  });
});

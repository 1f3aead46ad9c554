import { describe, expect, it } from "vitest";
import { parseExplainOptions } from "./explain-options.ts";

const request = { scheme: "", method: "", host: "", path: "", headers: [], clientAddress: "", sni: "", node: "" };
const adminUrl = "http://localhost:8001";

describe("parseExplainOptions", () => {
  it.each([
    { argv: ["/a?b"], want: { path: "/a?b" } },
    { argv: ["POST", "/a"], want: { method: "POST", path: "/a" } },
    {
      argv: ["https://a.test:8443/b/../c?d=e/f"],
      want: { scheme: "https", host: "a.test:8443", path: "/b/../c?d=e/f" },
    },
    { argv: ["http://a.test"], want: { scheme: "http", host: "a.test" } },
    { argv: ["http://a.test?b"], want: { scheme: "http", host: "a.test", path: "/?b" } },
    { argv: ["http://[::1]:80/"], want: { scheme: "http", host: "[::1]:80", path: "/" } },
    {
      argv: ["/", "-H", "X-A:  b: c ", "--header=X-A: d", "--header", "X-E:"],
      want: {
        path: "/",
        headers: [
          { name: "X-A", value: "b: c" },
          { name: "X-A", value: "d" },
          { name: "X-E", value: "" },
        ],
      },
    },
    { argv: ["http://a.test/", "-H", "host: b.test"], want: { scheme: "http", host: "b.test", path: "/" } },
    {
      argv: ["/", "--from", "192.0.2.1", "--sni=c.test", "--node", "n1"],
      want: { path: "/", clientAddress: "192.0.2.1", sni: "c.test", node: "n1" },
    },
  ])("reads $argv", ({ argv, want }) => {
    expect(parseExplainOptions(argv, {})).toEqual({
      type: "options",
      options: { request: { ...request, ...want }, adminUrl, isJson: false },
    });
  });

  it.each([
    { argv: ["/", "--admin", "https://a:1", "--json"], env: {}, want: { adminUrl: "https://a:1", isJson: true } },
    { argv: ["/"], env: { PENSTOCK_ADMIN: "http://b" }, want: { adminUrl: "http://b", isJson: false } },
    { argv: ["/"], env: { PENSTOCK_ADMIN: "" }, want: { adminUrl, isJson: false } },
  ])("finds the control plane with $argv and $env", ({ argv, env, want }) => {
    expect(parseExplainOptions(argv, env)).toMatchObject({ type: "options", options: want });
  });

  it.each([
    { argv: [], want: ["needs a URL or a path; see --help"] },
    { argv: ["a.test/b"], want: ['"a.test/b" is neither an http URL nor a path that begins with "/"'] },
    { argv: ["ftp://a/"], want: ['"ftp://a/" is neither an http URL nor a path that begins with "/"'] },
    { argv: ["/a#b"], want: ['"/a#b" is neither an http URL nor a path that begins with "/"'] },
    {
      argv: ["GET", "/", "x", "--jsn", "-H", "no", "--from", "--admin=x"],
      want: [
        'unknown option "--jsn"; see --help',
        "--from: needs a value, ADDRESS",
        `--admin: "x" is not an http URL such as ${adminUrl}`,
        'a method and a URL at most, not "GET", "/", "x"',
        "--header: \"no\" is not 'NAME: VALUE'",
      ],
    },
    { argv: ["/", "-H", "Host: a", "-H", "host: b"], want: ["Host: once at most"] },
  ])("tells everything that is wrong with $argv at once", ({ argv, want }) => {
    expect(parseExplainOptions(argv, {})).toEqual({ type: "problems", lines: want });
  });

  it("helps", () => {
    const parsed = parseExplainOptions(["--wach", "--help"], {});
    expect(parsed.type === "help" && parsed.text).toMatch(/-H, --header[\s\S]*--from[\s\S]*--node[\s\S]*Exit codes: 0/);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPathProblem, normalizePath, normalizePathKeepingSlashes } from "./normalize-path.ts";

describe("normalizePath", () => {
  it.each([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a/b/", "/a/b/"],
    ["/plain/../plain/a", "/plain/a"],
    ["/plain//a", "/plain/a"],
    ["//", "/"],
    ["///a//", "/a/"],
    ["/plain/%2e%2e/plain/a", "/plain/a"],
    ["/plain/%2E%2e/x", "/x"],
    ["/a/.%2e/b", "/b"],
    ["/plain/%41", "/plain/A"],
    ["/%7euser", "/~user"],
    ["/plain/a%20b", "/plain/a%20b"],
    ["/a%3fb%c3%a9", "/a%3Fb%C3%A9"],
    ["/plain/a;b=1", "/plain/a;b=1"],
    ["/a/.", "/a/"],
    ["/a/..", "/"],
    ["/a/b/..", "/a/"],
    ["/a/./b", "/a/b"],
    ["/../../a", "/a"],
    ["/..", "/"],
    ["/.", "/"],
    ["/...", "/..."],
    ["/.hidden", "/.hidden"],
    ["/a..", "/a.."],
    ["/%2541", "/%2541"],
    ["/%25%32%65", "/%252e"],
    ["/%e2%82%ac", "/%E2%82%AC"],
    ["/%ff", "/%FF"],
  ])("writes %s as %s", (raw, want) => {
    expect(normalizePath(raw)).toBe(want);
  });

  it.each([
    ["", "not_absolute"],
    ["*", "not_absolute"],
    ["a/b", "not_absolute"],
    ["/a%00", "encoded_nul"],
    ["/a%2fb", "encoded_slash"],
    ["/a%2Fb", "encoded_slash"],
    ["/a%5cb", "encoded_backslash"],
    ["/a\\b", "backslash"],
    ["/%", "malformed_escape"],
    ["/%4", "malformed_escape"],
    ["/%zz", "malformed_escape"],
    ["/%4g", "malformed_escape"],
    ["/%%41", "malformed_escape"],
    ["/%c0%af", "overlong_utf8"],
    ["/%C1%81", "overlong_utf8"],
    ["/%e0%80%af", "overlong_utf8"],
    ["/%f0%80%80%af", "overlong_utf8"],
    ["/a/..;/b", "dot_segment_parameters"],
    ["/a/.;x=1/b", "dot_segment_parameters"],
    ["/a/%2e%2e;/b", "dot_segment_parameters"],
    ["/a/..%3bx/b", "dot_segment_parameters"],
    ["/;/b", "dot_segment_parameters"],
    ["/a/;x=1/b", "dot_segment_parameters"],
    ["/a/%3B/b", "dot_segment_parameters"],
    ["/a b", "forbidden_byte"],
    ["/a\tb", "forbidden_byte"],
    ["/a\x7f", "forbidden_byte"],
    ["/\xe9", "forbidden_byte"],
    ["/\u20ac", "forbidden_byte"],
  ])("refuses %j as %s", (raw, problem) => {
    const result = normalizePath(raw);
    expect(result).toBe(problem);
    expect(isPathProblem(result)).toBe(true);
  });

  const parts = fc.constantFrom(
    ...["/", "//", ".", "..", "%2e", "%2E", "a", "B", "~", ";", "%41", "%20", "%c3%a9", "%25", "2e", "x.y", "%2f"],
  );
  const paths = fc.array(parts, { maxLength: 12 }).map((chosen) => `/${chosen.join("")}`);

  it("leaves its own result as it is", () => {
    fc.assert(
      fc.property(paths, (raw) => {
        const once = normalizePath(raw);
        fc.pre(!isPathProblem(once));
        expect(normalizePath(once)).toBe(once);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never yields a dot segment, an empty segment or an encoded unreserved character", () => {
    fc.assert(
      fc.property(paths, (raw) => {
        const path = normalizePath(raw);
        fc.pre(!isPathProblem(path));
        const segments = path.split("/").slice(1);
        expect(segments.slice(0, -1)).not.toContain("");
        for (const segment of segments) expect(segment).not.toMatch(/^(\.{1,2}$|\.{0,2}(;|%3B))/);
        for (const [octet] of path.matchAll(/%../g)) expect(octet).toMatch(/^%(20|25|C3|A9)$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("normalizePathKeepingSlashes", () => {
  it.each([
    ["/a%2fb", "/a%2fb"],
    ["/a%2Fb%2fc", "/a%2Fb%2fc"],
    ["/group%2Fproject/-/%41/../x", "/group%2Fproject/-/x"],
    ["//a%2F%2Fb//c", "/a%2F%2Fb/c"],
    ["/a%2f%20%e2%82%ac", "/a%2f%20%E2%82%AC"],
    ["/a%2f.b/..c%2fd..", "/a%2f.b/..c%2fd.."],
    ["/plain/../b", "/b"],
  ])("writes %s as %s", (raw, want) => {
    expect(normalizePathKeepingSlashes(raw)).toBe(want);
  });

  it.each([
    ["/a%2f..", "encoded_slash"],
    ["/..%2fa", "encoded_slash"],
    ["/a%2f..%2fb", "encoded_slash"],
    ["/a%2f%2e%2E/b", "encoded_slash"],
    ["/a/.%2Fb", "encoded_slash"],
    ["/a%2f..;x/b", "encoded_slash"],
    ["/a%2f;x", "encoded_slash"],
    ["/a%2fb/..;/c", "dot_segment_parameters"],
    ["/a%2fb%00", "encoded_nul"],
    ["/a%2fb%5cc", "encoded_backslash"],
    ["/a%2fb%c0%af", "overlong_utf8"],
    ["/a%2fb%4", "malformed_escape"],
    ["/a%2fb\\c", "backslash"],
    ["/a%2fb\u0001", "forbidden_byte"],
  ])("refuses %j: %s", (raw, problem) => {
    expect(normalizePathKeepingSlashes(raw)).toBe(problem);
  });

  it("agrees with the strict reading wherever that has one", () => {
    const text = fc.array(fc.constantFrom("/", ".", "..", "a", "%2e", "%41", "%20", ";", "%5c", "%2f"), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(text, (parts) => {
        const raw = `/${parts.join("")}`;
        const strict = normalizePath(raw);
        if (strict !== "encoded_slash") expect(normalizePathKeepingSlashes(raw)).toBe(strict);
      }),
    );
  });

  it("leaves nothing that climbs when a server decodes it", () => {
    const text = fc.array(fc.constantFrom("/", ".", "..", "a", "%2e", "%2f", "%2F", ";x"), { maxLength: 12 });
    fc.assert(
      fc.property(text, (parts) => {
        const path = normalizePathKeepingSlashes(`/${parts.join("")}`);
        if (isPathProblem(path)) return;
        const segments = decodeURIComponent(path).split("/");
        expect(segments.filter((segment) => /^\.{1,2}(;|$)/.test(segment))).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });
});

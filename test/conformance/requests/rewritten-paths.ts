import { accepted, get, type RequestFamily } from "../conformance-case.ts";

/** Routing and the target see one spelling of each path. */
export const rewrittenPaths: RequestFamily = {
  name: "paths with one spelling",
  source: "RFC 3986 section 6.2.2",
  cases: accepted(
    (
      [
        ["a dot segment", "/a/./b", "/a/b"],
        ["two dots", "/a/../b", "/b"],
        ["more dots than segments", "/../../b", "/b"],
        ["escaped dots", "/a/%2e%2E/b", "/b"],
        ["dots at the end", "/a/b/..", "/a/"],
        ["slashes", "//a///b", "/a/b"],
        ["unreserved characters escaped", "/%61%7E%2d", "/a~-"],
        ["escapes in lower case", "/%c3%a9", "/%C3%A9"],
        ["an escaped percent sign is decoded once only", "/%2541", "/%2541"],
        ["an escaped question mark stays one", "/a%3fb", "/a%3Fb"],
      ] as const
    ).map(
      ([name, sent, arrives]) =>
        [name, get("", sent), { line: `GET ${arrives}`, ours: { "X-Forwarded-Path": sent } }] as const,
    ),
  ),
};

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkCookieName,
  checkHeaderName,
  checkHost,
  checkHostWithPort,
  checkName,
  checkPath,
  checkRouteHeaderValue,
  checkRouteHost,
  checkRoutePath,
  checkRouteServerName,
  checkServerName,
  checkTag,
  checkUpstreamName,
  isUuid,
  type TextRule,
} from "./text-rules.ts";

/** A table of texts with what a rule says of each; null is fine. */
function table(name: string, rule: TextRule, rows: readonly (readonly [text: string, want: string | null])[]): void {
  describe(name, () => {
    it.each(rows.map(([text, want]) => ({ text, want })))("says of $text: $want", ({ text, want }) => {
      expect(rule(text)).toBe(want);
    });
  });
}

const nameFault = (name: string) =>
  `invalid value '${name}': the only accepted ascii characters are alphanumerics or ., -, _, and ~`;

table("checkName", checkName, [
  ["a.B-9_~", null],
  ["円", null],
  ["🙂", null],
  ["__proto__", null],
  ["bad name", nameFault("bad name")],
  ["a/b", nameFault("a/b")],
  ["a\n", nameFault("a\n")],
  ["a\ud800", nameFault("a\ud800")],
  ["", nameFault("")],
]);

const tagFault = (tag: string) =>
  `invalid tag '${tag}': expected printable ascii (except \`,\` and \`/\`) or valid utf-8 sequences`;

table("checkTag", checkTag, [
  ["a b:c=1", null],
  ["~!", null],
  ["円", null],
  ["constructor", null],
  ["p,q", tagFault("p,q")],
  ["a/b", tagFault("a/b")],
  ["a\tb", tagFault("a\tb")],
  ["a\u007f", tagFault("a\u007f")],
]);

table("checkUpstreamName", checkUpstreamName, [
  ["example_upstream", null],
  ["a-b.c_d.", null],
  ["__proto__", null],
  ["bad name", "Invalid name ('bad name'); must be a valid hostname"],
  ["a.test:80", "Invalid name ('a.test:80'); no port allowed"],
  ["1.2.3.4", "Invalid name ('1.2.3.4'); no ip addresses allowed"],
  ["::1", "Invalid name ('::1'); no ip addresses allowed"],
  ["a..b", "Invalid name ('a..b'); must be a valid hostname"],
  ["a-.b", "Invalid name ('a-.b'); must be a valid hostname"],
  ["円", "Invalid name ('円'); must be a valid hostname"],
]);

table("checkHost", checkHost, [
  ["httpbun.com", null],
  ["1.2.3.4", null],
  ["::1", null],
  ["[::1]", null],
  ["example_upstream", null],
  ["a b", "invalid value: a b"],
  ["http://a", "invalid value: http://a"],
  ["999.1.1.1", "invalid value: 999.1.1.1"],
  ["a:80", "must not have a port"],
  ["a:99999", "must not have a port"],
]);

table("checkHostWithPort", checkHostWithPort, [
  ["a.test", null],
  ["a.test:8080", null],
  ["[::1]:80", null],
  ["a b", "invalid hostname: a b"],
  ["a.test:99999", "invalid port number"],
]);

table("checkRouteHost", checkRouteHost, [
  ["a.test", null],
  ["*.a.test", null],
  ["a.*", null],
  ["*.a.test:80", null],
  ["1.2.3.4:80", null],
  ["*.a.*", "invalid wildcard: must have at most one wildcard"],
  ["*a.test", "invalid wildcard: must be placed at leftmost or rightmost label"],
  ["a.*.test", "invalid wildcard: must be placed at leftmost or rightmost label"],
  ["*", "invalid wildcard: must be placed at leftmost or rightmost label"],
  ["*.a b", "invalid hostname: *.a b"],
  ["a.test:1000000", "invalid port number"],
]);

table("checkServerName", checkServerName, [
  ["a.test", null],
  ["1.2.3.4", "must not be an IP"],
  ["a.test:1", "must not have a port"],
  ["a b", "invalid value: a b"],
]);

table("checkRouteServerName", checkRouteServerName, [
  ["a.test", null],
  ["*.a.test", null],
  ["a.*", null],
  ["a.*.b", "wildcard must be leftmost or rightmost character"],
  ["*.a.*", "only one wildcard must be specified"],
]);

table("checkHeaderName", checkHeaderName, [
  ["X-Foo_1", null],
  ["__proto__", null],
  ["a b", "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"],
  ["a:", "bad header name 'a:', allowed characters are A-Z, a-z, 0-9, '_', and '-'"],
]);

const cookieFault =
  "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the characters " +
  '()<>@,;:\\"/?={}[] are not allowed.';

table("checkCookieName", checkCookieName, [
  ["session.id", null],
  ["a=b", cookieFault],
  ["a b", cookieFault],
]);

table("checkPath", checkPath, [
  ["/", null],
  ["/a/%20;b@c", null],
  ["no-slash", "should start with: /"],
  ["/a//b", "must not have empty segments"],
  ["/a b", "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)"],
  ["/%zz", "invalid url-encoded value: '%zz'"],
  ["/%4", "invalid url-encoded value: '%4'"],
]);

table("checkRoutePath", checkRoutePath, [
  ["/mock", null],
  ["/", null],
  ["/a%2Fb", null],
  ["~/a(?<id>\\d+)$", null],
  ["mock", "should start with: / (fixed path) or ~/ (regex path)"],
  ["~mock", "should start with: / (fixed path) or ~/ (regex path)"],
  ["/a//b", "must not have empty segments"],
  ["~/a//b", "must not have empty segments"],
  ["/a/../b", "non-normalized path, consider use '/b' instead"],
  ["/%41", "non-normalized path, consider use '/A' instead"],
  ["/a b", "non-normalized path, consider use '/a%20b' instead"],
  ["/%2f", "non-normalized path, consider use '/%2F' instead"],
  ["/%zz", "invalid url-encoded value: '%zz'"],
  ["~/a(", "invalid regex: '/a(' (error parsing regexp: missing closing ): `/a(`)"],
  ["~/(?=a)", "invalid regex: '/(?=a)' (error parsing regexp: invalid or unsupported Perl syntax: `(?=`)"],
]);

table("checkRouteHeaderValue", checkRouteHeaderValue, [
  ["v1", null],
  ["~*^v[0-9]+$", null],
  ["", "length must be at least 1"],
  ["~*(", "invalid regex: '(' (error parsing regexp: missing closing ): `(`)"],
]);

describe("isUuid", () => {
  it.each([
    ["aa9e6741-4171-42ed-9485-d9d6c5002642", true],
    ["AA9E6741-4171-42ED-9485-D9D6C5002642", false],
    ["aa9e6741417142ed9485d9d6c5002642", false],
    ["aa9e6741-4171-42ed-9485-d9d6c5002642\n", false],
    ["example_service", false],
  ])("says of %j: %s", (text, want) => {
    expect(isUuid(text)).toBe(want);
  });
});

describe("text rules", () => {
  const rules = {
    checkName,
    checkTag,
    checkUpstreamName,
    checkHost,
    checkHostWithPort,
    checkRouteHost,
    checkServerName,
    checkRouteServerName,
    checkPath,
    checkRoutePath,
    checkRouteHeaderValue,
  };
  it.each(Object.entries(rules))("%s answers for any text, and never throws", (_, rule) => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string().map((text) => `~/${text}`),
      fc.ipV6(),
      fc.webUrl(),
    );
    fc.assert(fc.property(texts, (text) => rule(text) === null || typeof rule(text) === "string"));
  });
});

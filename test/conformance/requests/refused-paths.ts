import { get, type RequestFamily, refused } from "../conformance-case.ts";

export const refusedPaths: RequestFamily = {
  name: "paths that another reader takes for another path",
  source: "RFC 3986 sections 2.1 and 6.2.2; RFC 3629 section 3",
  cases: refused(
    (
      [
        ["an escaped slash", "/a%2fb"],
        ["an escaped slash in capitals", "/a%2Fb"],
        ["an escaped NUL", "/a%00"],
        ["an escaped backslash", "/a%5cb"],
        ["a backslash", "/a\\b"],
        ["a broken escape", "/a%zz"],
        ["half an escape", "/a%4"],
        ["a lone percent sign", "/a%"],
        ["an escape after a percent sign", "/%%41"],
        ["an IIS escape", "/%u002e"],
        ["an overlong slash", "/a%c0%afb"],
        ["an overlong dot", "/a/%c0%ae%c0%ae/b"],
        ["an overlong dot of three bytes", "/%e0%80%ae"],
        ["an overlong slash of four bytes", "/%f0%80%80%af"],
        ["dots with parameters", "/a/..;/b"],
        ["escaped dots with parameters", "/a/%2e%2e;x/b"],
        ["dots with an escaped semicolon", "/a/..%3b/b"],
        ["parameters of an empty segment", "/a/;x/b"],
      ] as const
    ).map(([name, target]) => [name, get("", target)] as const),
  ),
};

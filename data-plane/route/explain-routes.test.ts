import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { untilDone } from "../steps/until-done.ts";
import { explainRoutes, type RoutesExplanation } from "./explain-routes.ts";
import {
  configOf,
  inputOf,
  type Request,
  type Rules,
  requestArbitrary,
  rulesArbitrary,
} from "./route-rules.test-arbitrary.ts";
import { buildRouteTable, matchRoute } from "./route-table.ts";

function explain(rules: readonly Rules[], request: Partial<Request>, listMax = 100): RoutesExplanation {
  return untilDone(explainRoutes(buildRouteTable(configOf(rules)), inputOf(request), listMax));
}

describe("explainRoutes", () => {
  it.each<{ name: string; rules: Rules; request?: Partial<Request>; want: readonly string[] }>([
    { name: "method", rules: { methods: ["POST", "PUT"] }, want: ["method GET is none of POST, PUT"] },
    { name: "host", rules: { hosts: ["b.com", "*.b.com"] }, want: ["host a.com is none of b.com, *.b.com"] },
    { name: "port", rules: { hosts: ["a.com:81"] }, want: ["host a.com:80 is none of a.com:81"] },
    {
      name: "absent host",
      rules: { hosts: ["a.com"] },
      request: { host: "" },
      want: ["the request has no host, and it asks for one of a.com"],
    },
    { name: "path", rules: { paths: ["/a", "~/b\\d"] }, want: ["path / is under none of /a, ~/b\\d"] },
    {
      name: "header",
      rules: { headers: { x: ["1", "~*2$"] } },
      want: ["there is no header x, and it asks for one of 1, ~*2$"],
    },
    {
      name: "header's value",
      rules: { headers: { x: ["1"] } },
      request: { headers: { x: ["3", "4"] } },
      want: ["header x: 3, 4 is none of 1"],
    },
    {
      name: "protocol",
      rules: { protocols: ["http"] },
      request: { protocol: "https" },
      want: ["for http, not for https"],
    },
    { name: "other protocol", rules: { protocols: ["tcp", "tls"] }, want: ["for tcp, tls, not for HTTP"] },
    {
      name: "server name",
      rules: { snis: ["b.com"] },
      request: { protocol: "https", sni: "a.com" },
      want: ["server name a.com is none of b.com"],
    },
    {
      name: "absent server name",
      rules: { snis: ["b.com"] },
      request: { protocol: "https" },
      want: ["the connection has no server name, and it asks for one of b.com"],
    },
    {
      name: "everything at once",
      rules: { hosts: ["b.com"], paths: ["/b"], methods: ["PUT"], headers: { x: ["1"], y: ["2"] } },
      want: [
        "host a.com is none of b.com",
        "path / is under none of /b",
        "method GET is none of PUT",
        "there is no header x, and it asks for one of 1",
        "there is no header y, and it asks for one of 2",
      ],
    },
  ])("tells of a route by its $name", ({ rules, request = {}, want }) => {
    const { matched, others } = explain([rules], request);
    expect(matched).toBeNull();
    expect(others.map(({ reasons, matches }) => ({ reasons, matches }))).toEqual([{ reasons: want, matches: false }]);
  });

  it.each<{ name: string; winner: Rules; loser: Rules; want: string }>([
    {
      name: "kinds of things",
      winner: { paths: ["/"], methods: ["GET"] },
      loser: { paths: ["/a"] },
      want: "that asks for 2 of methods, hosts, headers, paths, snis, this for 1",
    },
    {
      name: "wildcards",
      winner: { hosts: ["a.com"] },
      loser: { hosts: ["*.com"] },
      want: "that has hosts, and no wildcard among them",
    },
    {
      name: "headers",
      winner: { headers: { x: ["1"], y: ["2"] } },
      loser: { headers: { x: ["1"] } },
      want: "that asks for 2 headers, this for 1",
    },
    {
      name: "regular expression",
      winner: { paths: ["~/a"] },
      loser: { paths: ["/a/b"] },
      want: "that has a regular expression, this a prefix",
    },
    {
      name: "regex priority",
      winner: { paths: ["~/a"], regexPriority: 3 },
      loser: { paths: ["~/a"], regexPriority: -1 },
      want: "that has regex_priority 3, this -1",
    },
    {
      name: "length",
      winner: { paths: ["/b", "/a/b"] },
      loser: { paths: ["/a"] },
      want: "that has the longer path /a/b, this /a",
    },
    { name: "age", winner: { paths: ["/a"] }, loser: { paths: ["/a"], createdAtMs: 5 }, want: "that is older" },
    { name: "id", winner: { paths: ["/a"] }, loser: { paths: ["/a"] }, want: "that has the smaller id" },
  ])("says that another route goes first by its $name", ({ winner, loser, want }) => {
    const request = { path: "/a/b", headers: { x: ["1"], y: ["2"] } };
    const { matched, others } = explain(
      [
        { ...winner, name: "w", id: "1" },
        { ...loser, id: "2" },
      ],
      request,
    );
    expect(matched?.ranked.route.name).toBe("w");
    expect(others[0]).toMatchObject({ reasons: [`lower priority than w: ${want}`], matches: true });
    expect(
      explain(
        [
          { ...loser, id: "2" },
          { ...winner, name: "w", id: "1" },
        ],
        request,
      ).others,
    ).toEqual(others);
  });

  it("tells of the nearest first, of so many as are asked for, and counts the rest", () => {
    const rules = [
      { paths: ["/b"], methods: ["PUT"] },
      { paths: ["/b"] },
      { paths: ["/a"] },
      { paths: ["/"] },
      { paths: ["/c"] },
    ];
    const { matched, others, moreCount } = explain(rules, { path: "/a" }, 3);
    expect(matched?.ranked.route.id).toBe("2");
    expect(others.map(({ route }) => route.id)).toEqual(["3", "1", "4"]);
    expect(moreCount).toBe(1);
  });

  it("cuts long lists and long texts", () => {
    const hosts = Array.from({ length: 1_000 }, (_, i) => `${"x".repeat(200)}${i}.com`);
    const [reason] = explain([{ hosts }], {}).others[0]!.reasons;
    expect(reason).toMatch(/x\.\.\. and 995 more$/);
    expect(reason!.length).toBeLessThan(700);
  });

  it("finds what matchRoute finds, and tells of every other route", () => {
    fc.assert(
      fc.property(fc.array(rulesArbitrary, { maxLength: 8 }), requestArbitrary, (rules, request) => {
        const table = buildRouteTable(configOf(rules));
        const match = matchRoute(table, inputOf(request));
        const { matched, others, moreCount } = explain(rules, request);
        expect(matched === null ? null : [matched.ranked.route.id, matched.matchedChars]).toEqual(
          match === null ? null : [match.route.id, match.matchedChars],
        );
        const told = others.map(({ route }) => route.id);
        if (matched !== null) told.push(matched.ranked.route.id);
        expect(told.toSorted()).toEqual(rules.map((_, i) => String(i)));
        expect(moreCount).toBe(0);
        for (const { reasons, matches, route } of others) {
          expect(reasons).not.toEqual([]);
          // Alone, a route that is told to match does, and no other one.
          const alone = rules.map((rule, i) =>
            String(i) === route.id ? rule : { ...rule, protocols: ["tcp"] as const },
          );
          expect(matchRoute(buildRouteTable(configOf(alone)), inputOf(request)) !== null).toBe(matches);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

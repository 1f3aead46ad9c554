import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { RouteConfig } from "../config/worker-config.ts";
import { PathIndexEdit } from "./path-index.ts";
import {
  configOf,
  type Headers,
  inputOf,
  type Request,
  type Rules,
  requestArbitrary,
  rulesArbitrary,
} from "./route-rules.test-arbitrary.ts";
import { buildRouteTable, matchRoute, type RouteInput, type RouteTable, RouteTableEdit } from "./route-table.ts";

describe("matchRoute", () => {
  it.each<{ name: string; routes: Rules[]; request: Partial<Request>; want: string | null }>([
    { name: "matches nothing in an empty table", routes: [], request: {}, want: null },
    { name: "matches a prefix textually", routes: [{ paths: ["/foo"] }], request: { path: "/foobar" }, want: "0" },
    { name: "does not match above a prefix", routes: [{ paths: ["/foo/"] }], request: { path: "/foo" }, want: null },
    {
      name: "prefers the longer prefix",
      routes: [{ paths: ["/a"] }, { paths: ["/a/b"] }, { paths: ["/"] }],
      request: { path: "/a/b/c" },
      want: "1",
    },
    {
      name: "falls back to a shorter prefix when the longer one's method differs",
      routes: [{ paths: ["/a"] }, { paths: ["/a/b"], methods: ["POST"] }],
      request: { path: "/a/b" },
      want: "0",
    },
    {
      name: "prefers more kinds of rules to a longer prefix",
      routes: [{ paths: ["/a/b/c"] }, { paths: ["/a"], methods: ["GET"] }],
      request: { path: "/a/b/c" },
      want: "1",
    },
    {
      name: "prefers plain hosts to wildcards",
      routes: [
        { hosts: ["*.example.com"], paths: ["/long"] },
        { hosts: ["a.example.com"], paths: ["/"] },
      ],
      request: { host: "a.example.com", path: "/long" },
      want: "1",
    },
    {
      name: "takes a route with one wildcard among its hosts for a wildcard one",
      routes: [{ hosts: ["a.example.com", "*.org"] }, { hosts: ["*.example.com"], headers: { x: ["1"] } }],
      request: { host: "a.example.com", headers: { x: ["1"] } },
      want: "1",
    },
    {
      name: "matches a leftmost wildcard over several labels",
      routes: [{ hosts: ["*.example.com"] }],
      request: { host: "a.b.example.com" },
      want: "0",
    },
    { name: "needs a label for it", routes: [{ hosts: ["*.a.com"] }], request: { host: "a.com" }, want: null },
    { name: "matches a rightmost wildcard", routes: [{ hosts: ["a.*"] }], request: { host: "a.b.c" }, want: "0" },
    { name: "folds the case of hosts", routes: [{ hosts: ["A.Com"] }], request: { host: "a.com" }, want: "0" },
    {
      name: "matches a host with its port",
      routes: [{ hosts: ["a.com:81"] }, { hosts: ["*.com:80"] }],
      request: { host: "a.com", port: 80 },
      want: "1",
    },
    {
      name: "matches a host without port on every port",
      routes: [{ hosts: ["a.com"] }],
      request: { host: "a.com", port: 8000 },
      want: "0",
    },
    {
      name: "takes an IPv6 literal's colons for no port",
      routes: [{ hosts: ["[::1]"] }, { hosts: ["[::1]:81"] }],
      request: { host: "[::1]", port: 80 },
      want: "0",
    },
    {
      name: "prefers a regular expression to a longer prefix",
      routes: [{ paths: ["/user/1"] }, { paths: ["~/u"] }],
      request: { path: "/user/1" },
      want: "1",
    },
    {
      name: "prefers the higher regex_priority",
      routes: [{ paths: ["~/user/\\d+"] }, { paths: ["~/u.*"], regexPriority: 5 }],
      request: { path: "/user/1" },
      want: "1",
    },
    {
      name: "gives regex_priority no say over prefixes",
      routes: [{ paths: ["/user"] }, { paths: ["/"], regexPriority: 9 }],
      request: { path: "/user" },
      want: "0",
    },
    {
      name: "prefers more header names to a regular expression",
      routes: [
        { paths: ["~/x"], headers: { a: ["1"] } },
        { paths: ["/x"], headers: { a: ["1"], b: ["2"] } },
      ],
      request: { path: "/x", headers: { a: ["1"], b: ["2"] } },
      want: "1",
    },
    {
      name: "needs every header name and any value of each",
      routes: [{ headers: { a: ["1", "2"], b: ["3"] } }],
      request: { headers: { a: ["9", "2"], b: ["3"] } },
      want: "0",
    },
    { name: "misses a header", routes: [{ headers: { a: ["1"] } }], request: { headers: {} }, want: null },
    {
      name: "folds the case of header names and values",
      routes: [{ headers: { "X-Tier": ["GOLD"] } }],
      request: { headers: { "x-tier": ["Gold"] } },
      want: "0",
    },
    {
      name: "takes - and _ in header names for the same",
      routes: [{ headers: { "X-Tier": ["a"] } }],
      request: { headers: { x_tier: ["a"] } },
      want: "0",
    },
    {
      name: "matches a header value by regular expression, in either case",
      routes: [{ headers: { "user-agent": ["~*^curl/\\d"] } }],
      request: { headers: { "user-agent": ["CURL/8"] } },
      want: "0",
    },
    {
      name: "compares methods exactly",
      routes: [{ methods: ["GET"] }],
      request: { method: "get" },
      want: null,
    },
    {
      name: "ranks each path of a route alone",
      routes: [{ paths: ["/a", "/b/b/b"] }, { paths: ["/a/a"] }],
      request: { path: "/a/a" },
      want: "1",
    },
    {
      name: "gives equals to the oldest route",
      routes: [
        { paths: ["/a"], createdAtMs: 2 },
        { paths: ["/a"], createdAtMs: 1 },
      ],
      request: { path: "/a" },
      want: "1",
    },
    {
      name: "gives equals of one age to the smallest id",
      routes: [
        { paths: ["/a"], id: "b" },
        { paths: ["/a"], id: "a" },
      ],
      request: { path: "/a" },
      want: "a",
    },
    { name: "matches https on plain http", routes: [{ protocols: ["https"], paths: ["/"] }], request: {}, want: "0" },
    {
      name: "does not match an http-only route on https",
      routes: [{ protocols: ["http"], paths: ["/"] }],
      request: { protocol: "https" },
      want: null,
    },
    { name: "leaves out tcp routes", routes: [{ protocols: ["tcp"], paths: ["/"] }], request: {}, want: null },
    { name: "takes empty lists for absent", routes: [{ methods: [], hosts: [], paths: [] }], request: {}, want: "0" },
  ])("$name", ({ routes, request, want }) => {
    const match = matchRoute(buildRouteTable(configOf(routes)), inputOf(request));
    expect(match?.route.id ?? null).toBe(want);
  });

  it.each([
    { paths: ["/mock"], path: "/mock/headers", hasPath: true, matchedChars: 5 },
    { paths: ["~/m\\w+"], path: "/mock/headers", hasPath: true, matchedChars: 5 },
    { paths: null, path: "/mock/headers", hasPath: false, matchedChars: 0 },
  ])("tells how much of the path $paths matched", ({ paths, path, hasPath, matchedChars }) => {
    const match = matchRoute(buildRouteTable(configOf([{ paths, methods: ["GET"] }])), inputOf({ path }));
    expect(match).toMatchObject({ hasPath, matchedChars });
  });

  it("does not ask for headers unless a route that could match has header rules", () => {
    const table = buildRouteTable(configOf([{ paths: ["/a"] }, { paths: ["/b"], headers: { x: ["1"] } }]));
    const headers = {
      values: (): readonly string[] => {
        throw new Error("asked");
      },
    };
    expect(matchRoute(table, { ...inputOf({ path: "/a" }), headers })?.route.id).toBe("0");
    expect(() => matchRoute(table, { ...inputOf({ path: "/b" }), headers })).toThrow("asked");
  });

  it("finds each of 10,000 routes", () => {
    const table = buildRouteTable(configOf(Array.from({ length: 10_000 }, (_, i) => ({ paths: [`/team-${i}/api`] }))));
    for (let i = 0; i < 10_000; i++) {
      expect(matchRoute(table, inputOf({ path: `/team-${i}/api/x` }))?.route.id).toBe(String(i));
    }
  });

  it("agrees with a matcher that looks at every route", () => {
    fc.assert(
      fc.property(
        fc.array(rulesArbitrary, { maxLength: 12 }),
        fc.array(requestArbitrary, { maxLength: 8 }),
        (rules, requests) => {
          const config = configOf(rules);
          const table = buildRouteTable(config);
          for (const request of requests) {
            const input = inputOf(request);
            const match = matchRoute(table, input);
            const got = match === null ? null : [match.route.id, match.matchedChars];
            expect(got).toEqual(naiveMatch(config.routes, input, request.headers));
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe("buildRouteTable", () => {
  it("has no place for paths that no request can have", () => {
    const { routes } = configOf([{ paths: ["/a", "/\uff21", "~/\uff22$", "/ü", "/ b"] }, { paths: ["/\uff21"] }]);
    const add = vi.spyOn(PathIndexEdit.prototype, "add");
    onTestFinished(() => void vi.restoreAllMocks());
    const table = buildRouteTable({ routes });
    expect(add.mock.calls.map(([prefix]) => prefix)).toEqual(["/a", "/"]);
    const edit = new RouteTableEdit(table);
    edit.set(0, null);
    expect(matchRoute(table, inputOf({ path: "/a" }))?.route.id).toBe("0");
    expect(matchRoute(edit.finish(), inputOf({ path: "/a" }))).toBeNull();
  });

  it("throws on a regular expression that does not compile", () => {
    expect(() => buildRouteTable(configOf([{ paths: ["~/("] }]))).toThrow();
  });
});

describe("RouteTableEdit", () => {
  const found = (table: RouteTable, request: Request) => {
    const match = matchRoute(table, inputOf(request));
    return match === null ? null : [match.route.id, match.matchedChars];
  };
  /** Which slot gets other rules, or is emptied. */
  const editArbitrary = fc.tuple(fc.nat(5), fc.option(rulesArbitrary, { nil: null }));

  it("makes of any table what is built from nothing, and leaves the one before as it was", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(editArbitrary, { maxLength: 4 }), { maxLength: 6 }),
        fc.array(requestArbitrary, { minLength: 1, maxLength: 6 }),
        (rounds, requests) => {
          const slots: (RouteConfig | null)[] = [];
          let table = buildRouteTable({ routes: [] });
          for (const round of rounds) {
            const edit = new RouteTableEdit(table);
            const before = requests.map((request) => found(table, request));
            for (const [slot, rules] of round) {
              const route = rules === null ? null : { ...configOf([rules]).routes[0]!, id: String(slot) };
              while (slots.length < slot) slots.push(null);
              slots[slot] = route;
              edit.set(slot, route);
              if (slot % 2 === 0) edit.settle();
            }
            const former = table;
            table = edit.finish();
            expect(requests.map((request) => found(former, request))).toEqual(before);
            const routes = slots.filter((route) => route !== null);
            const anew = buildRouteTable({ routes });
            expect(requests.map((request) => found(table, request))).toEqual(
              requests.map((request) => found(anew, request)),
            );
            expect(table.routeCount).toBe(routes.length);
            expect(table.allowsEncodedSlashes).toBe(anew.allowsEncodedSlashes);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("takes out each of 10,000 routes, and leaves nothing", () => {
    const { routes } = configOf(
      Array.from({ length: 10_000 }, (_, i) => ({ hosts: [`h${i % 997}.test`], paths: [`/team-${i}/api`, "~/x\\d"] })),
    );
    const edit = new RouteTableEdit(buildRouteTable({ routes }));
    for (let i = 0; i < 10_000; i++) edit.set(i, null);
    const table = edit.finish();
    expect(table.routeCount).toBe(0);
    for (let i = 0; i < 10_000; i += 7) {
      expect(matchRoute(table, inputOf({ host: `h${i % 997}.test`, path: `/team-${i}/api/x` }))).toBeNull();
    }
  });
});

/** The rules of the router, word by word, over every path of every route. */
function naiveMatch(routes: readonly RouteConfig[], input: RouteInput, headers: Headers): [string, number] | null {
  const found = routes
    .filter((route) => route.protocols.includes("https") || input.protocol === "http")
    .filter(
      (route) =>
        input.protocol === "http" ||
        route.snis === null ||
        route.snis.some((r) => naiveHost(r, { ...input, host: input.sni })),
    )
    .filter((route) => route.methods === null || route.methods.includes(input.method))
    .filter((route) => naiveHosts(route.hosts, input))
    .filter((route) =>
      (route.headers ?? []).every((rule) => (headers[rule.name] ?? []).some((v) => naiveHeader(rule, v))),
    )
    .flatMap((route) => (route.paths ?? [null]).map((path) => ({ route, path, chars: naivePath(path, input.path) })))
    .filter(({ chars }) => chars !== -1)
    .map((candidate) => ({ ...candidate, order: naiveOrder(candidate.route, candidate.path) }))
    .sort((a, b) => compareLists(a.order, b.order));
  return found[0] ? [found[0].route.id, found[0].chars] : null;
}

const naiveHosts = (rules: readonly string[] | null, input: RouteInput) =>
  rules === null || rules.some((rule) => naiveHost(rule, input));

function naiveHost(rule: string, { host, port }: RouteInput): boolean {
  const [name, rulePort] = rule.split(":") as [string, string?];
  if (rulePort !== undefined && Number(rulePort) !== port) return false;
  if (name === "*") return true;
  if (name.startsWith("*")) return host.endsWith(name.slice(1));
  return name.endsWith("*") ? host.startsWith(name.slice(0, -1)) : host === name;
}

function naiveHeader(rule: { values: readonly string[] }, value: string): boolean {
  return rule.values.some((wanted) =>
    wanted.startsWith("~*")
      ? new RegExp(wanted.slice(2), "i").test(value)
      : wanted.toLowerCase() === value.toLowerCase(),
  );
}

function naivePath(rule: string | null, path: string): number {
  if (rule === null) return 0;
  if (!rule.startsWith("~")) return path.startsWith(rule) ? rule.length : -1;
  return new RegExp(`^(?:${rule.slice(1)})`).exec(path)?.[0].length ?? -1;
}

/** Smaller is better, first difference decides. */
function naiveOrder(route: RouteConfig, path: string | null): (number | string)[] {
  const kinds = [route.methods, route.hosts, route.paths, route.snis].filter((kind) => kind !== null).length;
  const headerCount = route.headers?.length ?? 0;
  const isRegex = path?.startsWith("~") ?? false;
  return [
    -(kinds + (headerCount > 0 ? 1 : 0)),
    route.hosts?.every((host) => !host.includes("*")) ? 0 : 1,
    -headerCount,
    isRegex ? 0 : 1,
    isRegex ? -route.regexPriority : 0,
    isRegex ? 0 : -(path?.length ?? 0),
    route.createdAtMs,
    route.id,
    path === null ? 0 : (route.paths?.indexOf(path) ?? 0),
  ];
}

function compareLists(a: (number | string)[], b: (number | string)[]): number {
  for (const [i, left] of a.entries()) {
    const right = b[i]!;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

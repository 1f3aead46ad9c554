import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RetryPolicySchema } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { checkResource } from "./check-resource.ts";
import { checkMethod, checkStatusRange } from "./resilience.ts";
import { routeRules } from "./route.ts";
import { upstreamRules } from "./upstream.ts";

const context = { nowMs: 0, stored: null };

function toldOfUpstream(resilience: object): string[] {
  const { healthchecks } = upstreamRules.defaults;
  const upstream = create(UpstreamSchema, { name: "u", ...(healthchecks && { healthchecks }), resilience });
  return checkResource(upstreamRules, upstream, context).map(({ field, message }) => `${field}: ${message}`);
}

function toldOfRoute(retry: object): string[] {
  const route = create(RouteSchema, { ...routeRules.defaults, paths: ["/x"], retry: create(RetryPolicySchema, retry) });
  return checkResource(routeRules, route, context).map(({ field, message }) => `${field}: ${message}`);
}

describe("the resilience of an upstream", () => {
  it.each([
    { name: "nothing at all", resilience: {} },
    {
      name: "records without anything in them",
      resilience: { retry: {}, outlier: {}, stall: {}, panic: {}, probe: {} },
    },
    { name: "statuses at their limits", resilience: { retry: { statuses: [429, 500, 599] } } },
    { name: "methods that are tokens", resilience: { retry: { methods: ["GET", "POST", "M-SEARCH"] } } },
    { name: "ranges at their limits", resilience: { probe: { statusRanges: ["100-999", "204", "200-200"] } } },
    { name: "an ejection that never grows", resilience: { outlier: { baseEjection: s(5), maxEjection: s(5) } } },
    { name: "a base ejection beyond the default of the longest", resilience: { outlier: { baseEjection: s(60) } } },
    { name: "HEAD probes", resilience: { probe: { method: "HEAD" } } },
  ])("takes $name", ({ resilience }) => {
    expect(toldOfUpstream(resilience)).toEqual([]);
  });

  it.each([
    {
      name: "statuses between the two kinds",
      resilience: { retry: { statuses: [503, 430, 499] } },
      want: [
        "resilience.retry.statuses.1: expected 429 or a status from 500 to 599",
        "resilience.retry.statuses.2: expected 429 or a status from 500 to 599",
      ],
    },
    {
      name: "a status beyond them",
      resilience: { retry: { statuses: [404] } },
      want: ["resilience.retry.statuses.0: value should be between 429 and 599"],
    },
    {
      name: "a method in lower case and one that is no token",
      resilience: { retry: { methods: ["get", "A B"] } },
      want: [
        "resilience.retry.methods.0: invalid value: get (expected an HTTP method in upper case, such as GET)",
        "resilience.retry.methods.1: invalid value: A B (expected an HTTP method in upper case, such as GET)",
      ],
    },
    {
      name: "thresholds out of range",
      resilience: {
        outlier: { consecutiveResets: 0, consecutiveStatuses: 256, maxEjectedPercent: 101 },
        panic: { threshold: -1 },
        stall: { factor: 0.5 },
        probe: { port: 0, jitter: 2 },
      },
      want: [
        "resilience.outlier.consecutive_resets: value should be between 1 and 255",
        "resilience.outlier.consecutive_statuses: value should be between 1 and 255",
        "resilience.outlier.max_ejected_percent: value should be between 0 and 100",
        "resilience.stall.factor: value should be between 1 and 1000",
        "resilience.panic.threshold: value should be between 0 and 100",
        "resilience.probe.port: value should be between 1 and 65535",
        "resilience.probe.jitter: value should be between 0 and 1",
      ],
    },
    {
      name: "durations out of range, in milliseconds",
      resilience: { outlier: { baseEjection: s(0) }, stall: { minSilence: s(3601) } },
      want: [
        "resilience.outlier.base_ejection: value should be between 10 and 3600000",
        "resilience.stall.min_silence: value should be between 50 and 3600000",
      ],
    },
    {
      name: "a longest ejection below the base",
      resilience: { outlier: { baseEjection: s(2), maxEjection: s(1) } },
      want: ["resilience.outlier.max_ejection: must not be below base_ejection"],
    },
    {
      name: "parts of a millisecond",
      resilience: { retry: { perTryTimeout: { nanos: 1_500_000 } }, stall: { minSilence: { nanos: 50_000_001 } } },
      want: [
        "resilience.retry.per_try_timeout: expected whole milliseconds",
        "resilience.stall.min_silence: expected whole milliseconds",
      ],
    },
    {
      name: "modes that there are not",
      resilience: { panic: { mode: 9 }, probe: { initial: 9 } },
      want: [
        "resilience.panic.mode: expected one of: fail_open, fail_closed, last_good",
        "resilience.probe.initial: expected one of: healthy, unhealthy",
      ],
    },
    {
      name: "a text in an answer that has no body",
      resilience: { probe: { method: "HEAD", bodyContains: "ok" } },
      want: ["resilience.probe.body_contains: the answer to HEAD has no body"],
    },
  ])("refuses $name", ({ resilience, want }) => {
    expect(toldOfUpstream(resilience)).toEqual(want);
  });

  it("is stored without repeats and without records in which nothing is set", () => {
    const told = { retry: { methods: ["GET", "GET"], statuses: [503, 503] }, outlier: {}, probe: {} };
    const upstream = create(UpstreamSchema, { name: "u", resilience: told });
    const want = create(UpstreamSchema, { name: "u", resilience: { retry: { methods: ["GET"], statuses: [503] } } });
    expect(upstreamRules.normalize(upstream)).toEqual(want);
    const empty = create(UpstreamSchema, { name: "u", resilience: { retry: {}, stall: {} } });
    expect(upstreamRules.normalize(empty)).toEqual(create(UpstreamSchema, { name: "u" }));
  });
});

describe("the retries of a route", () => {
  it("take what those of an upstream take, except for the budget", () => {
    expect(toldOfRoute({ statuses: [503], methods: ["POST"], enabled: false })).toEqual([]);
    expect(toldOfRoute({ statuses: [450], budgetRatio: 0.1, budgetMinPerSecond: 1 })).toEqual([
      "retry.statuses.0: expected 429 or a status from 500 to 599",
      "retry.budget_ratio: cannot be set on a route: the budget is the upstream's",
      "retry.budget_min_per_second: cannot be set on a route: the budget is the upstream's",
    ]);
  });

  it("are not stored where nothing is set", () => {
    expect(routeRules.normalize(create(RouteSchema, { retry: {} })).retry).toBeUndefined();
    expect(routeRules.normalize(create(RouteSchema, { retry: { statuses: [503, 503] } })).retry?.statuses).toEqual([
      503,
    ]);
  });
});

describe("checkStatusRange", () => {
  it.each([
    "",
    "99",
    "1000",
    "200-",
    "-399",
    "200-99",
    "200 - 399",
    "2xx",
    "200-300-400",
    "200,204",
    "0200",
    "399-200",
  ])("refuses %j", (range) => {
    expect(checkStatusRange(range)).toMatch(/^invalid status range/);
  });
});

describe("checkMethod", () => {
  it.each(["", "get", "Get", "GE T", "GET\n", "(GET)", "GÉT"])("refuses %j", (method) => {
    expect(checkMethod(method)).toMatch(/^invalid value/);
  });
});

function s(seconds: number) {
  return { seconds: BigInt(seconds) };
}

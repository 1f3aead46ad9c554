import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { Algorithm, type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { checkResource } from "./check-resource.ts";
import { targetRules } from "./target.ts";
import { upstreamRules } from "./upstream.ts";

const context = { nowMs: 0, stored: null };

type Init = Parameters<typeof create<typeof UpstreamSchema>>[1];

function upstream(init: Init): Upstream {
  const { healthchecks } = upstreamRules.defaults;
  return create(UpstreamSchema, { name: "u", ...(healthchecks && { healthchecks }), ...init });
}

const toldOfUpstream = (init: Init) =>
  checkResource(upstreamRules, upstream(init), context).map(({ field, message }) => `${field}: ${message}`);

const toldOfTarget = (init: object) =>
  checkResource(targetRules, create(TargetSchema, { target: "a:1", upstream: { id: "x" }, ...init }), context).map(
    ({ field, message }) => `${field}: ${message}`,
  );

const onAlgorithm = ": failed conditional validation given value of field 'algorithm'";

describe("which endpoints of an upstream get requests", () => {
  it.each<{ name: string; init: Init }>([
    { name: "nothing at all", init: { balancing: {} } },
    { name: "records without anything in them", init: { balancing: { failover: {}, slowStart: {}, zones: {} } } },
    {
      name: "sticky sessions with a cookie",
      init: { algorithm: Algorithm.STICKY_SESSIONS, stickySessionsCookie: "sid", stickySessionsCookiePath: "/a-b/" },
    },
    { name: "a cookie with another algorithm", init: { stickySessionsCookie: "sid" } },
    {
      name: "a queue with a time",
      init: { balancing: { inFlight: { max: 1, queueSize: 1, queueTimeout: { nanos: 1_000_000 } } } },
    },
    { name: "a queue that is off", init: { balancing: { inFlight: { queueSize: 0, queueTimeout: s(1) } } } },
    { name: "no queue at all", init: { balancing: { inFlight: { max: 1, maxPerEndpoint: 1, queueSize: 0 } } } },
    {
      name: "every limit of a number",
      init: {
        algorithm: Algorithm.CONSISTENT_HASHING,
        balancing: {
          failover: { overflowThreshold: 100, failBackDelay: s(86_400) },
          slowStart: { window: s(86_400), minWeight: 0.1, aggression: 10 },
          zones: { spillThreshold: 0 },
          inFlight: { max: 1_000_000, maxPerEndpoint: 1_000_000, queueSize: 100_000, queueTimeout: s(3_600) },
          boundedLoad: 1.05,
        },
      },
    },
  ])("may be said with $name", ({ init }) => {
    expect(toldOfUpstream(init)).toEqual([]);
  });

  it.each<{ name: string; init: Init; want: string[] }>([
    {
      name: "sticky sessions without a cookie",
      init: { algorithm: Algorithm.STICKY_SESSIONS },
      want: [onAlgorithm, "sticky_sessions_cookie: required field missing"],
    },
    {
      name: "a cookie that would be two, and paths that would end their attribute",
      init: { stickySessionsCookie: "a b", stickySessionsCookiePath: "/a;b", hashOnCookiePath: "/;Domain=x" },
      want: [
        "hash_on_cookie_path: must not contain ';'",
        "sticky_sessions_cookie: contains one or more invalid characters. ASCII control characters (0-31;127), space, tab " +
          'and the characters ()<>@,;:\\"/?={}[] are not allowed.',
        "sticky_sessions_cookie_path: must not contain ';'",
      ],
    },
    {
      name: "paths that are none",
      init: { stickySessionsCookiePath: "a", hashOnCookiePath: "/\r\n" },
      want: [
        "hash_on_cookie_path: invalid path: '/\r\n' (characters outside of the reserved list of RFC 3986 found)",
        "sticky_sessions_cookie_path: should start with: /",
      ],
    },
    {
      name: "a queue without a time",
      init: { balancing: { inFlight: { max: 1, queueSize: 1 } } },
      want: ["balancing.in_flight.queue_timeout: required with a queue_size above 0"],
    },
    {
      name: "a time without a queue",
      init: { balancing: { inFlight: { max: 1, queueTimeout: s(1) } } },
      want: ["balancing.in_flight.queue_size: required with queue_timeout"],
    },
    {
      name: "a bounded load of an algorithm that has none",
      init: { algorithm: Algorithm.LEAST_CONNECTIONS, balancing: { boundedLoad: 1.25 } },
      want: ["balancing.bounded_load: can be set with the algorithm consistent-hashing only"],
    },
    {
      name: "everything out of range, durations in milliseconds",
      init: {
        algorithm: Algorithm.CONSISTENT_HASHING,
        balancing: {
          failover: { overflowThreshold: 101, failBackDelay: s(86_401) },
          slowStart: { window: s(-1), minWeight: 0, aggression: 11 },
          zones: { spillThreshold: -1 },
          inFlight: { max: 0, maxPerEndpoint: 1_000_001, queueSize: -1, queueTimeout: s(0) },
          boundedLoad: 1,
        },
      },
      want: [
        "balancing.failover.overflow_threshold: value should be between 0 and 100",
        "balancing.failover.fail_back_delay: value should be between 0 and 86400000",
        "balancing.slow_start.window: value should be between 0 and 86400000",
        "balancing.slow_start.min_weight: value should be between 0.1 and 100",
        "balancing.slow_start.aggression: value should be between 0.1 and 10",
        "balancing.zones.spill_threshold: value should be between 0 and 100",
        "balancing.in_flight.max: value should be between 1 and 1000000",
        "balancing.in_flight.max_per_endpoint: value should be between 1 and 1000000",
        "balancing.in_flight.queue_size: value should be between 0 and 100000",
        "balancing.in_flight.queue_timeout: value should be between 1 and 3600000",
        "balancing.bounded_load: value should be between 1.05 and 10",
      ],
    },
    {
      name: "parts of a millisecond",
      init: {
        balancing: {
          failover: { failBackDelay: { nanos: 1 } },
          slowStart: { window: { nanos: 1_500_000 } },
          inFlight: { queueSize: 1, queueTimeout: { nanos: 1_000_001 } },
        },
      },
      want: [
        "balancing.failover.fail_back_delay: expected whole milliseconds",
        "balancing.slow_start.window: expected whole milliseconds",
        "balancing.in_flight.queue_timeout: expected whole milliseconds",
      ],
    },
  ])("may not be said with $name", ({ init, want }) => {
    expect(toldOfUpstream(init)).toEqual(want);
  });

  it("is stored without records in which nothing is set", () => {
    const said = upstream({ balancing: { failover: {}, zones: { preferLocal: true } } });
    expect(upstreamRules.normalize(said)).toEqual(upstream({ balancing: { zones: { preferLocal: true } } }));
    expect(upstreamRules.normalize(upstream({ balancing: { inFlight: {} } }))).toEqual(upstream({}));
  });
});

describe("the tier, zone and limit of a target", () => {
  it.each([
    { failover: true },
    { failover: true, priority: 1 },
    { failover: false, priority: 0 },
    { priority: 15, zone: "eu-1a", maxInFlight: 1 },
  ])("may be %j", (init) => {
    expect(toldOfTarget(init)).toEqual([]);
  });

  it("may not contradict each other, nor be out of range", () => {
    expect(toldOfTarget({ failover: true, priority: 0 })).toEqual([
      "failover: must not be true with priority 0",
      "priority: must not be 0 with failover",
    ]);
    expect(toldOfTarget({ priority: 16, zone: "", maxInFlight: 0, weight: -1 })).toEqual([
      "weight: value should be between 0 and 65535",
      "priority: value should be between 0 and 15",
      "zone: length must be at least 1",
      "max_in_flight: value should be between 1 and 1000000",
    ]);
  });
});

function s(seconds: number) {
  return { seconds: BigInt(seconds) };
}

import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Algorithm, HashInput, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { type BalancingConfig, defaultBalancing } from "../config/balancing-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { compileBalancing } from "./compile-balancing.ts";

type Init = NonNullable<Parameters<typeof create<typeof UpstreamSchema>>[1]>;

const compile = (init: Init, algorithm: PoolConfig["algorithm"] = "round-robin") =>
  compileBalancing(create(UpstreamSchema, init), algorithm);

function compiledOf(init: Init, algorithm?: PoolConfig["algorithm"]): BalancingConfig {
  const outcome = compile(init, algorithm);
  if (!outcome.ok) throw new Error(`${outcome.problem.field} ${outcome.problem.message}`);
  return outcome.value;
}

const hashOf = (init: Init) => compiledOf(init, "consistent-hashing").hash;
const refusedField = (init: Init, algorithm?: PoolConfig["algorithm"]) => {
  const outcome = compile(init, algorithm);
  return outcome.ok ? null : outcome.problem.field;
};

describe("compileBalancing", () => {
  it("makes no difference where nothing is said, or every default", () => {
    expect(compiledOf({})).toEqual(defaultBalancing);
    const said = { failover: {}, slowStart: { window: {} }, zones: { preferLocal: false }, inFlight: { queueSize: 0 } };
    expect(compiledOf({ balancing: said })).toEqual(defaultBalancing);
    const kong = { hashOn: HashInput.NONE, hashFallback: HashInput.NONE, hashOnCookiePath: "/", slots: 10_000 };
    expect(compiledOf(kong, "latency")).toEqual(defaultBalancing);
  });

  it("reads everything that is said, in the units that workers have", () => {
    const balancing = {
      failover: { overflowThreshold: 70, failBackDelay: { seconds: 1n, nanos: 500_000_000 } },
      slowStart: { window: { seconds: 30n }, minWeight: 5, aggression: 2 },
      zones: { preferLocal: true, spillThreshold: 40 },
      inFlight: { max: 9, queueSize: 3, queueTimeout: { nanos: 250_000_000 } },
    };
    expect(compiledOf({ balancing })).toEqual({
      hash: null,
      sticky: null,
      failover: { overflowThresholdPercent: 70, failBackDelayMs: 1_500 },
      slowStart: { windowMs: 30_000, minRatio: 0.05, aggression: 2 },
      zones: { spillThresholdPercent: 40 },
      inFlight: { max: 9, queueSize: 3, queueTimeoutMs: 250 },
    });
  });

  it("fills in what is left out beside something that is said", () => {
    const balancing = { slowStart: { window: { seconds: 1n } }, zones: { preferLocal: true }, inFlight: { max: 1 } };
    expect(compiledOf({ balancing })).toEqual({
      ...defaultBalancing,
      slowStart: { windowMs: 1_000, minRatio: 0.1, aggression: 1 },
      zones: { spillThresholdPercent: 70 },
      inFlight: { max: 1, queueSize: 0, queueTimeoutMs: 0 },
    });
  });

  it("leaves a limit of endpoints to them, and a queue without one to wait for", () => {
    expect(compiledOf({ balancing: { inFlight: { maxPerEndpoint: 3 } } }).inFlight).toBeNull();
    const queue = { queueSize: 1, queueTimeout: { seconds: 1n } };
    const want = { max: null, queueSize: 1, queueTimeoutMs: 1_000 };
    expect(compiledOf({ balancing: { inFlight: { maxPerEndpoint: 3, ...queue } } }).inFlight).toEqual(want);
    const off = { queueSize: 0, queueTimeout: { seconds: 1n }, max: 5 };
    expect(compiledOf({ balancing: { inFlight: off } }).inFlight).toEqual({ max: 5, queueSize: 0, queueTimeoutMs: 0 });
  });

  it("has a cookie for sticky sessions, and for no other algorithm", () => {
    const init = { stickySessionsCookie: "sid", hashOn: HashInput.PATH };
    expect(compiledOf(init, "sticky-sessions")).toEqual({ ...defaultBalancing, sticky: { name: "sid", path: "/" } });
    expect(compiledOf({ ...init, stickySessionsCookiePath: "/x" }, "sticky-sessions").sticky?.path).toBe("/x");
    expect(compiledOf(init, "latency")).toEqual(defaultBalancing);
  });

  it.each<{ field: string; balancing: NonNullable<Init["balancing"]> }>([
    { field: "failover.overflow_threshold", balancing: { failover: { overflowThreshold: 101 } } },
    { field: "failover.overflow_threshold", balancing: { failover: { overflowThreshold: Number.NaN } } },
    { field: "failover.fail_back_delay", balancing: { failover: { failBackDelay: { seconds: -1n } } } },
    { field: "failover.fail_back_delay", balancing: { failover: { failBackDelay: { seconds: 86_401n } } } },
    { field: "slow_start.window", balancing: { slowStart: { window: { seconds: 86_400n, nanos: 1 } } } },
    { field: "slow_start.min_weight", balancing: { slowStart: { minWeight: 0 } } },
    { field: "slow_start.aggression", balancing: { slowStart: { aggression: 10.5 } } },
    { field: "zones.spill_threshold", balancing: { zones: { spillThreshold: -1 } } },
    { field: "in_flight.max", balancing: { inFlight: { max: 0 } } },
    { field: "in_flight.max_per_endpoint", balancing: { inFlight: { maxPerEndpoint: 1_000_001 } } },
    { field: "in_flight.queue_size", balancing: { inFlight: { queueSize: -1 } } },
    { field: "in_flight.queue_timeout", balancing: { inFlight: { queueSize: 1 } } },
    { field: "in_flight.queue_timeout", balancing: { inFlight: { queueSize: 1, queueTimeout: { seconds: 3_601n } } } },
  ])("refuses $field of $balancing", ({ field, balancing }) => {
    expect(refusedField({ balancing })).toBe(`balancing.${field}`);
  });

  it.each<{ field: string; init: Init }>([
    { field: "sticky_sessions_cookie", init: {} },
    { field: "sticky_sessions_cookie", init: { stickySessionsCookie: "a;b" } },
    { field: "sticky_sessions_cookie_path", init: { stickySessionsCookie: "a", stickySessionsCookiePath: "/;x" } },
    { field: "sticky_sessions_cookie_path", init: { stickySessionsCookie: "a", stickySessionsCookiePath: "x" } },
    { field: "sticky_sessions_cookie_path", init: { stickySessionsCookie: "a", stickySessionsCookiePath: "/\r\n" } },
  ])("refuses $field of $init", ({ field, init }) => {
    expect(refusedField(init, "sticky-sessions")).toBe(field);
  });
});

describe("what is hashed", () => {
  it("is the client's address where nothing is named", () => {
    const want = { on: { kind: "ip" }, fallback: null, boundedLoad: null };
    expect(hashOf({})).toEqual(want);
    expect(hashOf({ hashOn: HashInput.NONE, hashFallback: HashInput.NONE })).toEqual(want);
    expect(compiledOf({ hashOn: HashInput.PATH }, "least-connections").hash).toBeNull();
  });

  it.each<{ name: string; init: Init; on: object; fallback: object | null }>([
    {
      name: "a header in lower case, else another",
      init: {
        ...{ hashOn: HashInput.HEADER, hashOnHeader: "X-User" },
        ...{ hashFallback: HashInput.HEADER, hashFallbackHeader: "X-Session" },
      },
      on: { kind: "header", name: "x-user" },
      fallback: { kind: "header", name: "x-session" },
    },
    {
      name: "an argument as it is written, else another",
      init: {
        ...{ hashOn: HashInput.QUERY_ARG, hashOnQueryArg: "User" },
        ...{ hashFallback: HashInput.QUERY_ARG, hashFallbackQueryArg: "Session" },
      },
      on: { kind: "query_arg", name: "User" },
      fallback: { kind: "query_arg", name: "Session" },
    },
    {
      name: "a capture, else another",
      init: {
        ...{ hashOn: HashInput.URI_CAPTURE, hashOnUriCapture: "id" },
        ...{ hashFallback: HashInput.URI_CAPTURE, hashFallbackUriCapture: "1" },
      },
      on: { kind: "uri_capture", name: "id" },
      fallback: { kind: "uri_capture", name: "1" },
    },
    {
      name: "a cookie",
      init: { hashOn: HashInput.COOKIE, hashOnCookie: "Sid" },
      on: { kind: "cookie", name: "Sid", path: "/" },
      fallback: null,
    },
    {
      name: "the consumer, else a cookie on a path",
      init: {
        ...{ hashOn: HashInput.CONSUMER, hashFallback: HashInput.COOKIE },
        ...{ hashOnCookie: "sid", hashOnCookiePath: "/a" },
      },
      on: { kind: "consumer" },
      fallback: { kind: "cookie", name: "sid", path: "/a" },
    },
    {
      name: "the path, else the address",
      init: { hashOn: HashInput.PATH, hashFallback: HashInput.IP },
      on: { kind: "path" },
      fallback: { kind: "ip" },
    },
  ])("is $name", ({ init, on, fallback }) => {
    expect(hashOf(init)).toEqual({ on, fallback, boundedLoad: null });
  });

  it("may be bounded", () => {
    expect(hashOf({ balancing: { boundedLoad: 1.25 } })?.boundedLoad).toBe(1.25);
    for (const boundedLoad of [1, 11, Number.NaN])
      expect(refusedField({ balancing: { boundedLoad } }, "consistent-hashing")).toBe("balancing.bounded_load");
  });

  it.each<{ field: string; init: Init }>([
    { field: "hash_on", init: { hashOn: 99 as never } },
    { field: "hash_fallback", init: { hashOn: HashInput.IP, hashFallback: 99 as never } },
    { field: "hash_on_header", init: { hashOn: HashInput.HEADER } },
    { field: "hash_fallback_header", init: { hashOn: HashInput.IP, hashFallback: HashInput.HEADER } },
    { field: "hash_on_query_arg", init: { hashOn: HashInput.QUERY_ARG, hashOnQueryArg: "" } },
    { field: "hash_fallback_query_arg", init: { hashOn: HashInput.IP, hashFallback: HashInput.QUERY_ARG } },
    { field: "hash_on_uri_capture", init: { hashOn: HashInput.URI_CAPTURE } },
    { field: "hash_fallback_uri_capture", init: { hashOn: HashInput.IP, hashFallback: HashInput.URI_CAPTURE } },
    { field: "hash_on_cookie", init: { hashOn: HashInput.COOKIE } },
    { field: "hash_on_cookie", init: { hashOn: HashInput.IP, hashFallback: HashInput.COOKIE, hashOnCookie: "a b" } },
    { field: "hash_on_cookie_path", init: { hashOn: HashInput.COOKIE, hashOnCookie: "a", hashOnCookiePath: "/a b" } },
  ])("is refused for $field", ({ field, init }) => {
    expect(refusedField({ algorithm: Algorithm.CONSISTENT_HASHING, ...init }, "consistent-hashing")).toBe(field);
  });
});

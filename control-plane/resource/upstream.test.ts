import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Algorithm, HashInput, type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { checkResource } from "./check-resource.ts";
import { upstreamRules } from "./upstream.ts";

const created = { nowMs: 0, stored: null };

const upstream = (fields: Partial<Upstream>): Upstream => ({ ...upstreamRules.defaults, name: "u", ...fields });
const told = (fields: Partial<Upstream>) =>
  checkResource(upstreamRules, upstream(fields), created).map(({ field, message }) => `${field}: ${message}`);

const onHashOn = ": failed conditional validation given value of field 'hash_on'";
const onFallback = ": failed conditional validation given value of field 'hash_fallback'";

describe("upstreamRules", () => {
  it.each([
    { name: "the defaults with a name", fields: {}, want: [] },
    { name: "no name", fields: { name: "" }, want: ["name: required field missing"] },
    {
      name: "a bad name",
      fields: { name: "bad name" },
      want: ["name: Invalid name ('bad name'); must be a valid hostname"],
    },
    { name: "a bad host_header", fields: { hostHeader: "a b" }, want: ["host_header: invalid hostname: a b"] },
    {
      name: "a bad cookie path",
      fields: { hashOnCookiePath: "x" },
      want: ["hash_on_cookie_path: should start with: /"],
    },
    {
      name: "a bad header to hash",
      fields: { hashOnHeader: "a b" },
      want: ["hash_on_header: bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"],
    },
    {
      name: "a header hash without header",
      fields: { hashOn: HashInput.HEADER },
      want: [onHashOn, "hash_on_header: required field missing"],
    },
    {
      name: "a cookie hash without cookie",
      fields: { hashOn: HashInput.COOKIE },
      want: [onHashOn, "hash_on_cookie: required field missing"],
    },
    {
      name: "a fallback to an argument without argument",
      fields: { hashOn: HashInput.IP, hashFallback: HashInput.QUERY_ARG },
      want: [onFallback, "hash_fallback_query_arg: required field missing"],
    },
    {
      name: "a fallback to a capture without capture",
      fields: { hashOn: HashInput.IP, hashFallback: HashInput.URI_CAPTURE },
      want: [onFallback, "hash_fallback_uri_capture: required field missing"],
    },
    {
      name: "a fallback of nothing",
      fields: { hashFallback: HashInput.IP },
      want: [onHashOn, "hash_fallback: expected one of: none"],
    },
    {
      name: "a fallback of a cookie",
      fields: { hashOn: HashInput.COOKIE, hashOnCookie: "c", hashFallback: HashInput.IP },
      want: [onHashOn, "hash_fallback: expected one of: none"],
    },
    {
      name: "the consumer as its own fallback",
      fields: { hashOn: HashInput.CONSUMER, hashFallback: HashInput.CONSUMER },
      want: [onHashOn, "hash_fallback: expected one of: none, ip, header, cookie, path, query_arg, uri_capture"],
    },
    {
      name: "two headers",
      fields: {
        hashOn: HashInput.HEADER,
        hashOnHeader: "a",
        hashFallback: HashInput.HEADER,
        hashFallbackHeader: "b",
      },
      want: [],
    },
    {
      name: "one header twice",
      fields: {
        hashOn: HashInput.HEADER,
        hashOnHeader: "a",
        hashFallback: HashInput.HEADER,
        hashFallbackHeader: "a",
      },
      want: [": values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'"],
    },
    { name: "no health checks", fields: { healthchecks: undefined }, want: ["healthchecks: required field missing"] },
    {
      name: "half a surrogate pair",
      fields: { hashOnQueryArg: "\ud800" },
      want: ["hash_on_query_arg: invalid utf-8 character sequence"],
    },
    {
      name: "null where null is allowed",
      fields: { slots: undefined, algorithm: undefined, hashOn: undefined },
      want: [],
    },
  ])("says what is wrong with $name", ({ fields, want }) => {
    expect(told(fields)).toEqual(want);
  });

  it("looks into active health checks", () => {
    const { healthchecks } = upstreamRules.defaults;
    const active = create(UpstreamSchema, {
      healthchecks: {
        active: {
          httpPath: "x",
          httpsSni: "1.2.3.4",
          headers: { "a b": { values: ["1"] }, c: { values: [] }, d: { values: [""] } },
        },
      },
    }).healthchecks?.active;
    const withChecks = { ...healthchecks!, active: { ...healthchecks!.active!, ...active!, healthy: undefined } };
    expect(told({ healthchecks: withChecks })).toEqual([
      "healthchecks.active.healthy: required field missing",
      "healthchecks.active.http_path: should start with: /",
      "healthchecks.active.https_sni: must not be an IP",
      "healthchecks.active.headers: bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
      "healthchecks.active.headers.c: length must be at least 1",
      "healthchecks.active.headers.d.0: length must be at least 1",
    ]);
  });

  it("has Kong's defaults", () => {
    expect(upstreamRules.defaults).toMatchObject({
      algorithm: Algorithm.ROUND_ROBIN,
      hashOn: HashInput.NONE,
      hashFallback: HashInput.NONE,
      hashOnCookiePath: "/",
      slots: 10000,
      useSrvName: false,
      tags: [],
    });
    expect(upstreamRules.defaults.healthchecks).toMatchObject({
      threshold: 0,
      active: {
        concurrency: 10,
        timeout: { seconds: 1n },
        httpPath: "/",
        httpsVerifyCertificate: true,
        healthy: { interval: { seconds: 0n }, httpStatuses: [200, 302], successes: 0 },
        unhealthy: {
          httpStatuses: [429, 404, 500, 501, 502, 503, 504, 505],
          tcpFailures: 0,
          timeouts: 0,
          httpFailures: 0,
        },
      },
      passive: {
        healthy: {
          httpStatuses: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
        },
        unhealthy: { httpStatuses: [429, 500, 503] },
      },
    });
  });

  describe("withImplied", () => {
    const implied = (fields: Partial<Upstream>, paths: string[], stored: Upstream | null) =>
      upstreamRules.withImplied({ message: create(UpstreamSchema, fields as never), paths }, stored).message.algorithm;

    it.each([
      { name: "a new upstream", stored: null },
      { name: "one that was never asked to hash", stored: upstream({}) },
    ])("takes hashing without an algorithm for consistent hashing on $name", ({ stored }) => {
      expect(implied({ hashOn: HashInput.IP }, ["hash_on"], stored)).toBe(Algorithm.CONSISTENT_HASHING);
    });

    it("overrides no algorithm that a client named, now or before", () => {
      const named = { hashOn: HashInput.IP, algorithm: Algorithm.ROUND_ROBIN };
      expect(implied(named, ["hash_on", "algorithm"], null)).toBe(Algorithm.ROUND_ROBIN);
      expect(
        implied({ hashOn: HashInput.IP }, ["hash_on"], upstream({ algorithm: Algorithm.LATENCY })),
      ).toBeUndefined();
      expect(implied({ hashOn: HashInput.IP }, ["hash_on"], upstream({ hashOn: HashInput.PATH }))).toBeUndefined();
      expect(implied({ hashOn: HashInput.NONE }, ["hash_on"], null)).toBeUndefined();
    });
  });
});

import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PathHandling } from "../../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol, ServiceSchema } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import {
  Algorithm,
  HashInput,
  HealthcheckType,
  UpstreamSchema,
} from "../../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Kind } from "../../resource/checked.ts";
import { serviceRules } from "../../resource/service.ts";
import { upstreamRules } from "../../resource/upstream.ts";
import { decodeResource } from "./decode-resource.ts";
import { type JsonObject, printResource } from "./print-resource.ts";

const id = "11111111-1111-4111-8111-111111111111";

/** The problems of a body, by field. */
function problemsOf(kind: Kind, json: JsonObject): Record<string, string> {
  const { problems = [] } = decodeResource(kind, json);
  return Object.fromEntries(problems.map(({ field, message }) => [field, message]));
}

describe("decodeResource", () => {
  it("reads every field of a service, and names the paths that were set", () => {
    const draft = decodeResource("service", {
      id,
      name: "s",
      protocol: "tls_passthrough",
      host: "h.test",
      port: 8080,
      path: null,
      retries: 0,
      connect_timeout: 1,
      write_timeout: 60_500,
      read_timeout: 2_147_483_646,
      enabled: false,
      client_certificate: { id },
      tls_verify: true,
      tls_verify_depth: 3,
      ca_certificates: [id],
      tags: ["a", "b"],
    });
    expect(draft.problems).toEqual([]);
    expect(draft.message).toEqual(
      create(ServiceSchema, {
        id,
        name: "s",
        protocol: Protocol.TLS_PASSTHROUGH,
        host: "h.test",
        port: 8080,
        retries: 0,
        connectTimeout: { seconds: 0n, nanos: 1_000_000 },
        writeTimeout: { seconds: 60n, nanos: 500_000_000 },
        readTimeout: { seconds: 2_147_483n, nanos: 646_000_000 },
        enabled: false,
        clientCertificate: { id },
        tlsVerify: true,
        tlsVerifyDepth: 3,
        caCertificates: [id],
        tags: ["a", "b"],
      }),
    );
    expect(draft.paths).toEqual([
      ...["id", "name", "protocol", "host", "port", "path", "retries", "connect_timeout", "write_timeout"],
      ...["read_timeout", "enabled", "client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates", "tags"],
    ]);
  });

  it("names the leaves of records and not the records", () => {
    const { message, paths } = decodeResource("upstream", {
      algorithm: "least-connections",
      hash_on: "query_arg",
      healthchecks: {
        threshold: 12.5,
        active: { type: "grpcs", healthy: { successes: 3 }, http_path: null },
        passive: {},
      },
    });
    expect(paths).toEqual([
      "algorithm",
      "hash_on",
      "healthchecks.threshold",
      "healthchecks.active.type",
      "healthchecks.active.healthy.successes",
      "healthchecks.active.http_path",
    ]);
    expect(message).toMatchObject({
      algorithm: Algorithm.LEAST_CONNECTIONS,
      hashOn: HashInput.QUERY_ARG,
      healthchecks: { threshold: 12.5, active: { type: HealthcheckType.GRPCS, healthy: { successes: 3 } } },
    });
    expect(message.healthchecks?.active?.httpPath).toBeUndefined();
  });

  it("takes null for a whole record", () => {
    const { message, paths } = decodeResource("upstream", { healthchecks: null });
    expect(paths).toEqual(["healthchecks"]);
    expect(message.healthchecks).toBeUndefined();
  });

  it.each<{ name: string; kind: Kind; json: JsonObject; want: { paths: string[]; value: object } }>([
    {
      name: "an empty list",
      kind: "route" as const,
      json: { paths: [] },
      want: { paths: ["paths"], value: { paths: [] } },
    },
    {
      name: "an empty object for a list",
      kind: "route" as const,
      json: { tags: {} },
      want: { paths: ["tags"], value: { tags: [] } },
    },
    {
      name: "an empty list for a map",
      kind: "route" as const,
      json: { headers: [] },
      want: { paths: ["headers"], value: { headers: {} } },
    },
    {
      name: "an empty list for a record",
      kind: "upstream" as const,
      json: { healthchecks: [] },
      want: { paths: [], value: {} },
    },
    {
      name: "a reference by name",
      kind: "route" as const,
      json: { service: { name: "s" } },
      want: { paths: ["service"], value: { service: { id: "", name: "s" } } },
    },
    {
      name: "a reference that is cleared",
      kind: "route" as const,
      json: { service: { id: null } },
      want: { paths: ["service"], value: {} },
    },
    {
      name: "an enum",
      kind: "route" as const,
      json: { path_handling: "v1" },
      want: { paths: ["path_handling"], value: { pathHandling: PathHandling.V1 } },
    },
    {
      name: "headers",
      kind: "route" as const,
      json: { headers: { constructor: ["a"] } },
      want: { paths: ["headers"], value: { headers: { constructor: { values: ["a"] } } } },
    },
    {
      name: "records in a list",
      kind: "route" as const,
      json: { sources: [{ ip: "10.0.0.1", port: null }] },
      want: { paths: ["sources"], value: { sources: [{ ip: "10.0.0.1" }] } },
    },
    {
      name: "nothing of what the server sets",
      kind: "service" as const,
      json: { created_at: "x", updated_at: null },
      want: { paths: [], value: {} },
    },
  ])("takes $name", ({ kind, json, want }) => {
    const { message, paths, problems } = decodeResource(kind, json);
    expect(problems).toEqual([]);
    expect(paths).toEqual(want.paths);
    expect(message).toMatchObject(want.value);
  });

  it("tells every field of a wrong type at once", () => {
    const body = {
      name: 1,
      host: "",
      port: "80",
      retries: 1.5,
      connect_timeout: 0.5,
      enabled: "true",
      protocol: "zz",
      tags: "x",
      ca_certificates: {} as unknown,
      client_certificate: "id",
      bogus: 1,
      etag: "e",
    };
    body.ca_certificates = "x";
    expect(problemsOf("service", body)).toEqual({
      name: "expected a string",
      host: "length must be at least 1",
      port: "expected an integer",
      retries: "expected an integer",
      connect_timeout: "expected an integer",
      enabled: "expected a boolean",
      protocol: "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
      tags: "expected a set",
      ca_certificates: "expected an array",
      client_certificate: "expected a record",
      bogus: "unknown field",
      etag: "unknown field",
    });
  });

  it("tells of wrong types inside records, lists and maps", () => {
    expect(
      problemsOf("route", {
        paths: ["/a", 1, null],
        protocols: ["http", "zz"],
        sources: [{ ip: 1 }, 5, { zz: 1 }],
        headers: { "x-a": "1", "x-b": ["ok", 2] },
        service: { id: 5, zz: 1 },
        hosts: 5,
      }),
    ).toEqual({
      "paths.1": "expected a string",
      "paths.2": "expected a string",
      "protocols.1": "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
      "sources.0.ip": "expected a string",
      "sources.1": "expected a record",
      "sources.2.zz": "unknown field",
      "headers.x-a": "expected an array",
      "headers.x-b.1": "expected a string",
      "service.id": "expected a string",
      "service.zz": "unknown field",
      hosts: "expected an array",
    });
    expect(
      problemsOf("upstream", {
        healthchecks: {
          threshold: "x",
          active: { foo: 1, healthy: { interval: "x", http_statuses: [99.5] } },
          passive: 5,
        },
      }),
    ).toEqual({
      "healthchecks.threshold": "expected a number",
      "healthchecks.active.foo": "unknown field",
      "healthchecks.active.healthy.interval": "expected a number",
      "healthchecks.active.healthy.http_statuses.0": "expected an integer",
      "healthchecks.passive": "expected a record",
    });
    expect(problemsOf("route", { headers: "x" })).toEqual({ headers: "expected a map" });
  });

  it.each([
    { kind: "service" as const, json: { port: 2 ** 40 }, want: { port: "value should be between 0 and 65535" } },
    {
      kind: "route" as const,
      json: { regex_priority: -(2 ** 40) },
      want: { regex_priority: "value should be between -2147483648 and 2147483647" },
    },
    {
      kind: "service" as const,
      json: { read_timeout: 1e300 },
      want: { read_timeout: "value should be between 1 and 2147483646" },
    },
    {
      kind: "upstream" as const,
      json: { healthchecks: { threshold: Number.POSITIVE_INFINITY } },
      want: { "healthchecks.threshold": "expected a number" },
    },
    {
      kind: "upstream" as const,
      json: { healthchecks: { passive: { unhealthy: { http_statuses: [-1] } } } },
      want: { "healthchecks.passive.unhealthy.http_statuses.0": "value should be between 100 and 999" },
    },
    { kind: "service" as const, json: { name: "\ud800" }, want: { name: "expected valid utf-8" } },
  ])("refuses what the contract cannot hold: $json", ({ kind, json, want }) => {
    expect(problemsOf(kind, json)).toEqual(want);
  });

  it("knows no fields that objects inherit", () => {
    const body = JSON.parse(
      '{"__proto__": {"polluted": 1}, "constructor": {"prototype": 1}, "toString": 1, "prototype": 1}',
    );
    expect(decodeResource("service", body).problems?.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      "__proto__: unknown field",
      "constructor: unknown field",
      "toString: unknown field",
      "prototype: unknown field",
    ]);
    const headers = JSON.parse('{"headers": {"__proto__": ["a"]}}');
    expect(problemsOf("route", headers)).toEqual(JSON.parse('{"headers.__proto__": "unknown field"}'));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("names an empty key, also inside a record", () => {
    expect(problemsOf("upstream", { "": 1, healthchecks: { "": 1 } })).toEqual({
      "''": "unknown field",
      "healthchecks.''": "unknown field",
    });
  });

  it("bounds what it tells, and lists it does not look into", () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, 1]));
    expect(decodeResource("service", many).problems).toHaveLength(100);
    expect(decodeResource("route", { paths: new Array(1000).fill(5) }).problems).toHaveLength(100);
    expect(decodeResource("route", { headers: { x: new Array(1000).fill(5) } }).problems).toHaveLength(100);
    expect(problemsOf("route", { paths: new Array(10_001).fill("/") })).toEqual({
      paths: "length must be at most 10000",
    });
    expect(problemsOf("route", { headers: { x: new Array(10_001).fill(5) } })).toEqual({
      "headers.x": "length must be at most 10000",
    });
    const names = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`x${i}`, "no list"]));
    expect(problemsOf("route", { headers: names })).toEqual({ headers: "length must be at most 10000" });
  });

  it.each([
    { json: { interval: 5 }, want: { seconds: 5n, nanos: 0 } },
    { json: { interval: 0.3 }, want: { seconds: 0n, nanos: 300_000_000 } },
    { json: { interval_ms: 1500 }, want: { seconds: 1n, nanos: 500_000_000 } },
    { json: { interval: 2, interval_ms: 1500 }, want: { seconds: 1n, nanos: 500_000_000 } },
    { json: { interval: 1.5, interval_ms: 1500 }, want: { seconds: 1n, nanos: 500_000_000 } },
    { json: { interval: 2, interval_ms: null }, want: { seconds: 2n, nanos: 0 } },
    { json: { interval: null }, want: undefined },
  ])("reads an interval of $json", ({ json, want }) => {
    const { message, paths, problems } = decodeResource("upstream", { healthchecks: { active: { healthy: json } } });
    expect(problems).toEqual([]);
    expect(paths).toEqual(["healthchecks.active.healthy.interval"]);
    const interval = message.healthchecks?.active?.healthy?.interval;
    expect(interval && { seconds: interval.seconds, nanos: interval.nanos }).toEqual(want);
  });

  it("refuses an interval in milliseconds that is none or says something else than the one in seconds", () => {
    const path = "healthchecks.active.healthy.interval_ms";
    const problem = (healthy: object) => problemsOf("upstream", { healthchecks: { active: { healthy } } })[path];
    expect(problem({ interval_ms: 0.5 })).toBe("expected an integer");
    expect(problem({ interval: 5, interval_ms: 500 })).toBe("does not fit 'interval'; leave one of them out");
    expect(problemsOf("service", { retries_ms: 5 })).toEqual({ retries_ms: "unknown field" });
  });

  it("reads back what is printed of the defaults", () => {
    for (const [kind, defaults] of [
      ["upstream", upstreamRules.defaults],
      ["service", serviceRules.defaults],
    ] as const) {
      const { message, problems } = decodeResource(kind, printResource(kind, defaults as never));
      expect(problems).toEqual(
        kind === "upstream" ? [implicit("id"), implicit("name")] : [implicit("id"), implicit("host")],
      );
      expect(message).toEqual(defaults);
    }
  });

  it("reads back any sub-second interval that is printed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535_000 }), (ms) => {
        const interval = { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 };
        const upstream = create(UpstreamSchema, { id, name: "u", healthchecks: { active: { healthy: { interval } } } });
        const printed = printResource("upstream", upstream);
        const { message, problems } = decodeResource("upstream", printed);
        expect(problems).toEqual([]);
        expect(message.healthchecks?.active?.healthy?.interval).toMatchObject(interval);
      }),
    );
  });
});

function implicit(field: string) {
  return { code: "invalid", field, message: "length must be at least 1" };
}

import { describe, expect, it } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { Algorithm, HashInput } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import {
  healthOverride,
  limits,
  route,
  service,
  snapshot,
  target,
  trial,
  upstream,
} from "./compile-snapshot.test-entities.ts";
import { compileSnapshot } from "./compile-snapshot.ts";

const u = upstream({ id: "u1", name: "backend" });
const s = service({ id: "s1", host: "example.com" });

describe("compileSnapshot, refusing", () => {
  const unknownEnum = 99 as Protocol;
  it.each<{ name: string; entities: SnapshotEntity[]; want: object }>([
    {
      name: "an unknown kind",
      entities: [{ kind: "plugin", id: "p1", body: new Uint8Array() }],
      want: { reason: "unknown_kind", entityKind: "plugin", entityId: "p1" },
    },
    {
      name: "a kind that is a property of every object",
      entities: [{ kind: "constructor", id: "p1", body: new Uint8Array() }],
      want: { reason: "unknown_kind" },
    },
    {
      name: "a body that is no message",
      entities: [{ ...s, body: Uint8Array.of(0xff) }],
      want: { reason: "undecodable_entity", entityId: "s1" },
    },
    {
      name: "an entity without id",
      entities: [service({ host: "a" })],
      want: { reason: "invalid_entity", field: "id" },
    },
    {
      name: "an id that is not the body's",
      entities: [{ ...s, id: "s9" }],
      want: { reason: "invalid_entity", entityId: "s9", field: "id" },
    },
    {
      name: "an entity that comes twice",
      entities: [s, s],
      want: { reason: "duplicate_entity", entityKind: "service", entityId: "s1" },
    },
    {
      name: "two upstreams of one name",
      entities: [u, upstream({ id: "u2", name: "backend" })],
      want: { reason: "invalid_entity", entityId: "u2", entityName: "backend", field: "name" },
    },
    { name: "an upstream without name", entities: [upstream({ id: "u1" })], want: { field: "name" } },
    {
      name: "an unknown algorithm",
      entities: [upstream({ id: "u1", name: "x", algorithm: 99 as never })],
      want: { entityId: "u1", field: "algorithm" },
    },
    ...(
      [
        ["slots", { slots: 65_537 }],
        ["slots", { slots: 9 }],
        ["sticky_sessions_cookie", { algorithm: Algorithm.STICKY_SESSIONS }],
        ["hash_on_header", { algorithm: Algorithm.CONSISTENT_HASHING, hashOn: HashInput.HEADER }],
        ["balancing.in_flight.max", { balancing: { inFlight: { max: 0 } } }],
      ] as const
    ).map(([field, init]) => ({
      name: `an upstream for its ${field}`,
      entities: [upstream({ id: "u1", name: "x", ...init })],
      want: { entityId: "u1", field },
    })),
    ...(
      [
        ["priority", { priority: 16 }],
        ["priority", { priority: -1 }],
        ["max_in_flight", { maxInFlight: 0 }],
        ["max_in_flight", { maxInFlight: 1_000_001 }],
      ] as const
    ).map(([field, init]) => ({
      name: `a target for its ${field}`,
      entities: [u, target({ id: "t1", target: "a:80", upstream: { id: "u1" }, ...init })],
      want: { entityId: "t1", field },
    })),
    {
      name: "an unknown weight basis",
      entities: [upstream({ id: "u1", name: "x", weightBasis: 99 as never })],
      want: { entityId: "u1", field: "weight_basis" },
    },
    {
      name: "a host header that would end its line",
      entities: [upstream({ id: "u1", name: "x", hostHeader: "a\r\nb" })],
      want: { field: "host_header" },
    },
    {
      name: "a target without upstream",
      entities: [target({ id: "t1", target: "a:80" })],
      want: { reason: "invalid_entity", entityName: "a:80", field: "upstream" },
    },
    {
      name: "a target of an upstream that is not there",
      entities: [target({ id: "t1", target: "a:80", upstream: { id: "u9" } })],
      want: { reason: "dangling_reference", entityKind: "target", field: "upstream" },
    },
    ...["a", "a:", "a:65536", ":80", "::1:80", "[::1]", "[a]:80", "a b:80", "a\n:80", "a:80:90"].map((text) => ({
      name: `the target ${JSON.stringify(text)}`,
      entities: [u, target({ id: "t1", target: text, upstream: { id: "u1" } })],
      want: { reason: "invalid_entity", entityId: "t1", field: "target" },
    })),
    {
      name: "a weight over 65535",
      entities: [u, target({ id: "t1", target: "a:80", weight: 65_536, upstream: { id: "u1" } })],
      want: { field: "weight" },
    },
    {
      name: "a weight below 0",
      entities: [u, target({ id: "t1", target: "a:80", weight: -1, upstream: { id: "u1" } })],
      want: { field: "weight" },
    },
    {
      name: "an unknown service protocol",
      entities: [service({ id: "s1", host: "a", protocol: unknownEnum })],
      want: { field: "protocol" },
    },
    { name: "a service without host", entities: [service({ id: "s1" })], want: { field: "host" } },
    { name: "a service host with a port", entities: [service({ id: "s1", host: "a:80" })], want: { field: "host" } },
    {
      name: "a service port out of range",
      entities: [service({ id: "s1", host: "a", port: 65_536 })],
      want: { field: "port" },
    },
    {
      name: "a service path without slash",
      entities: [service({ id: "s1", host: "a", path: "x" })],
      want: { field: "path" },
    },
    {
      name: "a service path that would end its line",
      entities: [service({ id: "s1", host: "a", path: "/x\r\n" })],
      want: { field: "path" },
    },
    {
      name: "a service path with a query",
      entities: [service({ id: "s1", host: "a", path: "/x?y" })],
      want: { field: "path" },
    },
    {
      name: "too many retries",
      entities: [service({ id: "s1", host: "a", retries: 32_768 })],
      want: { field: "retries" },
    },
    {
      name: "no time to connect",
      entities: [service({ id: "s1", host: "a", connectTimeout: {} })],
      want: { field: "connect_timeout" },
    },
    {
      name: "no time to write",
      entities: [service({ id: "s1", host: "a", writeTimeout: { seconds: -1n } })],
      want: { field: "write_timeout" },
    },
    {
      name: "too much time to read",
      entities: [service({ id: "s1", host: "a", readTimeout: { seconds: 2_147_484n } })],
      want: { field: "read_timeout" },
    },
    {
      name: "a disabled service with a fault",
      entities: [service({ id: "s1", host: "", enabled: false })],
      want: { field: "host" },
    },
    {
      name: "a route of a service that is not there",
      entities: [route({ id: "r1", name: "rt", service: { id: "s9" } })],
      want: { reason: "dangling_reference", entityKind: "route", entityName: "rt", field: "service" },
    },
    {
      name: "a route of a service without id",
      entities: [route({ id: "r1", service: { name: "svc" } })],
      want: { reason: "dangling_reference", field: "service" },
    },
    {
      name: "an unknown route protocol",
      entities: [route({ id: "r1", protocols: [Protocol.HTTP, unknownEnum] })],
      want: { field: "protocols[1]" },
    },
    { name: "an empty method", entities: [route({ id: "r1", methods: ["GET", ""] })], want: { field: "methods[1]" } },
    { name: "an empty host", entities: [route({ id: "r1", hosts: [""] })], want: { field: "hosts[0]" } },
    { name: "two wildcards", entities: [route({ id: "r1", hosts: ["*.a.*"] })], want: { field: "hosts[0]" } },
    {
      name: "a wildcard in the middle",
      entities: [route({ id: "r1", hosts: ["a.com", "a.*.com"] })],
      want: { field: "hosts[1]" },
    },
    {
      name: "half a label as wildcard",
      entities: [route({ id: "r1", hosts: ["a*.com"] })],
      want: { field: "hosts[0]" },
    },
    { name: "a path without slash", entities: [route({ id: "r1", paths: ["/a", "b"] })], want: { field: "paths[1]" } },
    {
      name: "a path that does not compile",
      entities: [route({ id: "r1", paths: ["~/("] })],
      want: { field: "paths[0]" },
    },
    {
      name: "a path that RE2 does not know",
      entities: [route({ id: "r1", paths: ["~/(?=a)"] })],
      want: { field: "paths[0]" },
    },
    {
      name: "a header value that does not compile",
      entities: [route({ id: "r1", headers: { "x-a": { values: ["~*("] } } })],
      want: { field: "headers.x-a" },
    },
    {
      name: "a body limit below zero",
      entities: [route({ id: "r1", limits: { requestBodyMaxBytes: -1n } })],
      want: { entityKind: "route", field: "limits.request_body_max_bytes" },
    },
    {
      name: "no time at all for a request",
      entities: [route({ id: "r1", limits: { totalTimeout: {} } })],
      want: { entityKind: "route", field: "limits.total_timeout" },
    },
    {
      name: "an unknown redirect status",
      entities: [route({ id: "r1", httpsRedirectStatusCode: 200 })],
      want: { field: "https_redirect_status_code" },
    },
    {
      name: "more routes than the limit",
      entities: [1, 2, 3, 4].map((i) => route({ id: `r${i}` })),
      want: { reason: "limit_exceeded", entityKind: "route", entityId: "r4" },
    },
    {
      name: "a health override of an address that is none",
      entities: [
        u,
        target({ id: "t1", target: "a:80", upstream: { id: "u1" } }),
        healthOverride({ id: "o1", target: { id: "t1" }, address: "a:80" }),
      ],
      want: { entityKind: "health_override", entityId: "o1", field: "address" },
    },
    {
      name: "a health check that it cannot do",
      entities: [
        upstream({
          id: "u1",
          name: "backend",
          healthchecks: { active: { type: 9 as never, healthy: { interval: { seconds: 1n } } } },
        }),
      ],
      want: { entityKind: "upstream", entityName: "backend", field: "healthchecks.active.type" },
    },
    {
      name: "more upstreams than the limit",
      entities: [1, 2, 3, 4].map((i) => upstream({ id: `u${i}`, name: `n${i}` })),
      want: { reason: "limit_exceeded", entityKind: "upstream" },
    },
    {
      name: "more targets of one upstream than the limit",
      entities: [u, ...[1, 2, 3, 4].map((i) => target({ id: `t${i}`, target: `a:${i}`, upstream: { id: "u1" } }))],
      want: {
        ...{ reason: "limit_exceeded", entityKind: "target", entityId: "t4", entityName: "a:4", field: "upstream" },
        message: "has 3 targets already; this node takes no more",
      },
    },
  ])("refuses $name", ({ entities, want }) => {
    const outcome = compileSnapshot(snapshot(entities), limits, trial);
    expect(outcome).toMatchObject({ ok: false, refusal: { reason: "invalid_entity", ...want } });
    expect(outcome.ok ? "" : outcome.refusal.message).not.toBe("");
  });

  it("refuses a target that is a port of the node itself", () => {
    const isOwnPort = (host: string, port: number) => host === "127.0.0.1" && port === 8000;
    const compile = (text: string) =>
      compileSnapshot(
        snapshot([u, target({ id: "t1", target: text, upstream: { id: "u1" } })]),
        limits,
        trial,
        isOwnPort,
      );
    expect(compile("127.0.0.1:8001")).toMatchObject({ ok: true });
    expect(compile("127.0.0.1:8000")).toMatchObject({
      ok: false,
      refusal: { reason: "invalid_entity", entityKind: "target", entityName: "127.0.0.1:8000", field: "target" },
    });
  });
});

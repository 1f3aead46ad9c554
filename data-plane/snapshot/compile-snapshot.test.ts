import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol, ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { ReceivedSnapshot, SnapshotEntity } from "./apply-snapshot.ts";
import { compileSnapshot, type SnapshotPlan } from "./compile-snapshot.ts";

const limits = { routesMax: 3, servicesMax: 3, upstreamsMax: 3, targetsMax: 3 };

function upstream(init: MessageInitShape<typeof UpstreamSchema>): SnapshotEntity {
  return { kind: "upstream", id: init.id ?? "", body: toBinary(UpstreamSchema, create(UpstreamSchema, init)) };
}
function target(init: MessageInitShape<typeof TargetSchema>): SnapshotEntity {
  return { kind: "target", id: init.id ?? "", body: toBinary(TargetSchema, create(TargetSchema, init)) };
}
function service(init: MessageInitShape<typeof ServiceSchema>): SnapshotEntity {
  return { kind: "service", id: init.id ?? "", body: toBinary(ServiceSchema, create(ServiceSchema, init)) };
}
function route(init: MessageInitShape<typeof RouteSchema>): SnapshotEntity {
  return { kind: "route", id: init.id ?? "", body: toBinary(RouteSchema, create(RouteSchema, init)) };
}

function snapshot(entities: readonly SnapshotEntity[]): ReceivedSnapshot {
  return {
    epoch: { counter: 1, id: new Uint8Array(16) },
    publication: 7,
    revision: 5,
    stateHash: new Uint8Array(32),
    entities,
  };
}

function planOf(entities: readonly SnapshotEntity[]): SnapshotPlan {
  const outcome = compileSnapshot(snapshot(entities), limits);
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.refusal));
  return outcome.plan;
}

const u = upstream({ id: "u1", name: "backend" });
const s = service({ id: "s1", host: "example.com" });

describe("compileSnapshot", () => {
  it("compiles nothing into nothing", () => {
    expect(planOf([])).toEqual({ publication: 7, revision: 5, routes: [], services: [], pools: [] });
  });

  it("fills in what absent fields mean", () => {
    const plan = planOf([s, route({ id: "r1", service: { id: "s1" }, paths: ["/x"] })]);
    expect(plan.services).toEqual([
      {
        id: "s1",
        name: null,
        protocol: "http",
        isProtocolSupported: true,
        path: null,
        retries: 5,
        connectTimeoutMs: 60_000,
        writeTimeoutMs: 60_000,
        readTimeoutMs: 60_000,
        poolIndex: 0,
      },
    ]);
    expect(plan.routes).toEqual([
      {
        id: "r1",
        name: null,
        createdAtMs: 0,
        protocols: ["http", "https"],
        methods: null,
        hosts: null,
        paths: ["/x"],
        headers: null,
        regexPriority: 0,
        stripPath: true,
        preserveHost: false,
        httpsRedirectStatus: 426,
        serviceIndex: 0,
      },
    ]);
  });

  it("keeps what is set", () => {
    const plan = planOf([
      service({
        id: "s1",
        name: "svc",
        host: "example.com",
        port: 8080,
        path: "/base",
        retries: 0,
        protocol: Protocol.GRPC,
        connectTimeout: { seconds: 1n, nanos: 500_000_000 },
        readTimeout: { nanos: 1_000_000 },
      }),
      route({
        id: "r1",
        name: "rt",
        service: { id: "s1" },
        hosts: ["*.example.com:80", "example.*"],
        methods: ["GET"],
        paths: ["~/a/(?<id>[0-9]+)$", "/b"],
        headers: { "x-a": { values: ["1", "2"] }, "x-b": { values: ["~*^v[0-9]$"] } },
        regexPriority: 9,
        stripPath: false,
        preserveHost: true,
        httpsRedirectStatusCode: 308,
        createdAt: { seconds: 2n, nanos: 5_000_000 },
      }),
    ]);
    expect(plan.services[0]).toMatchObject({
      name: "svc",
      protocol: "grpc",
      isProtocolSupported: false,
      path: "/base",
      retries: 0,
      connectTimeoutMs: 1_500,
      readTimeoutMs: 1,
    });
    expect(plan.pools[0]).toMatchObject({ key: "host:example.com:8080", name: "example.com", isUpstream: false });
    expect(plan.routes[0]).toMatchObject({
      name: "rt",
      hosts: ["*.example.com:80", "example.*"],
      paths: ["~/a/(?<id>[0-9]+)$", "/b"],
      headers: [
        { name: "x-a", values: ["1", "2"] },
        { name: "x-b", values: ["~*^v[0-9]$"] },
      ],
      regexPriority: 9,
      stripPath: false,
      preserveHost: true,
      httpsRedirectStatus: 308,
      createdAtMs: 2_005,
    });
  });

  it("sends a service whose host is an upstream's name to that upstream, and looks that name up nowhere", () => {
    const plan = planOf([
      service({ id: "s1", host: "backend", port: 1 }),
      u,
      target({ id: "t1", target: "a:81", upstream: { id: "u1" } }),
    ]);
    expect(plan.pools).toEqual([
      {
        key: "upstream:u1",
        name: "backend",
        hostHeader: null,
        isUpstream: true,
        algorithm: "round-robin",
        members: [{ host: "a", port: 81, weight: 100, hostHeader: "a:81" }],
      },
    ]);
    expect(plan.services[0]!.poolIndex).toBe(0);
  });

  it("keeps an upstream that no service names, so that it is resolved when one comes to", () => {
    expect(planOf([u]).pools.map((pool) => pool.key)).toEqual(["upstream:u1"]);
  });

  it("puts services of one host and port into one pool", () => {
    const plan = planOf([
      s,
      service({ id: "s2", host: "example.com" }),
      service({ id: "s3", host: "example.com", port: 81 }),
    ]);
    expect(plan.services.map(({ poolIndex }) => poolIndex)).toEqual([0, 0, 1]);
  });

  it("orders targets by age, whatever the order in which they come, and leaves out those of weight 0", () => {
    const at = (seconds: bigint, nanos = 0) => ({ createdAt: { seconds, nanos }, upstream: { id: "u1" } });
    const plan = planOf([
      target({ id: "t3", target: "c:80", ...at(2n, 1) }),
      target({ id: "t1", target: "a:80", weight: 0, ...at(1n) }),
      u,
      target({ id: "t2", target: "b:80", ...at(2n) }),
    ]);
    expect(plan.pools[0]!.members.map(({ host }) => host)).toEqual(["b", "c"]);
  });

  it.each([
    { target: "example.com:80", host: "example.com", hostHeader: "example.com" },
    { target: "example.com:8080", host: "example.com", hostHeader: "example.com:8080" },
    {
      target: "[0000:0000:0000:0000:0000:0000:0000:0001]:80",
      host: "0000:0000:0000:0000:0000:0000:0000:0001",
      hostHeader: "[0000:0000:0000:0000:0000:0000:0000:0001]",
    },
    { target: "my_host:0", host: "my_host", hostHeader: "my_host:0" },
  ])("reads the target $target", ({ target: text, host, hostHeader }) => {
    const plan = planOf([u, target({ id: "t1", target: text, upstream: { id: "u1" } })]);
    expect(plan.pools[0]!.members[0]).toMatchObject({ host, hostHeader });
  });

  it.each([
    { header: "example.com", want: "example.com" },
    { header: "example.com:80", want: "example.com:80" },
    { header: "::1", want: "[::1]" },
    { header: "[::1]:81", want: "[::1]:81" },
  ])("keeps the host header $header as $want", ({ header, want }) => {
    expect(planOf([upstream({ id: "u1", name: "x", hostHeader: header })]).pools[0]!.hostHeader).toBe(want);
  });

  it("leaves out a disabled service with its routes, and keeps a route without service", () => {
    const plan = planOf([
      service({ id: "s1", host: "a", enabled: false }),
      service({ id: "s2", host: "b", enabled: true }),
      route({ id: "r1", service: { id: "s1" }, paths: ["/1"] }),
      route({ id: "r2", service: { id: "s2" }, paths: ["/2"] }),
      route({ id: "r3", paths: ["/3"] }),
    ]);
    expect(plan.services.map(({ id }) => id)).toEqual(["s2"]);
    expect(plan.pools.map(({ key }) => key)).toEqual(["host:b:80"]);
    expect(plan.routes.map(({ id, serviceIndex }) => [id, serviceIndex])).toEqual([
      ["r2", 0],
      ["r3", -1],
    ]);
  });

  it("does not strip the path of a gRPC route that does not say so", () => {
    expect(planOf([route({ id: "r1", protocols: [Protocol.GRPC] })]).routes[0]!.stripPath).toBe(false);
  });

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
      name: "more upstreams than the limit",
      entities: [1, 2, 3, 4].map((i) => upstream({ id: `u${i}`, name: `n${i}` })),
      want: { reason: "limit_exceeded", entityKind: "upstream" },
    },
  ])("refuses $name", ({ entities, want }) => {
    const outcome = compileSnapshot(snapshot(entities), limits);
    expect(outcome).toMatchObject({ ok: false, refusal: { reason: "invalid_entity", ...want } });
    expect(outcome.ok ? "" : outcome.refusal.message).not.toBe("");
  });

  it("answers any bytes with a plan or a refusal, and never throws", () => {
    const kind = fc.constantFrom("upstream", "target", "service", "route");
    fc.assert(
      fc.property(
        fc.array(fc.record({ kind, id: fc.string(), body: fc.uint8Array({ maxLength: 60 }) })),
        (entities) => {
          expect(typeof compileSnapshot(snapshot(entities), limits).ok).toBe("boolean");
        },
      ),
    );
  });
});

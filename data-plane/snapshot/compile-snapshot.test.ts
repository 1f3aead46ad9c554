import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { WeightBasis } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { defaultBalancing } from "../config/balancing-config.ts";
import { defaultResilience } from "../config/resilience-config.ts";
import { noTls } from "../config/tls-config.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import {
  healthOverride,
  limits,
  readPlan,
  route,
  service,
  snapshot,
  target,
  trial,
  upstream,
} from "./compile-snapshot.test-entities.ts";
import { compileSnapshot } from "./compile-snapshot.ts";

function planOf(entities: readonly SnapshotEntity[]) {
  const outcome = compileSnapshot(snapshot(entities), limits, trial);
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.refusal));
  return readPlan(outcome.plan);
}

const u = upstream({ id: "u1", name: "backend" });
const s = service({ id: "s1", host: "example.com" });

describe("compileSnapshot", () => {
  it("compiles nothing into nothing", () => {
    expect(planOf([])).toEqual({
      publication: 7,
      notes: [],
      revision: 5,
      routes: [],
      services: [],
      pools: [],
      tls: noTls,
      expiries: [],
    });
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
        tls: null,
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
        snis: null,
        regexPriority: 0,
        stripPath: true,
        preserveHost: false,
        httpsRedirectStatus: 426,
        bodyMaxBytes: null,
        totalTimeoutMs: null,
        allowsEncodedSlashes: false,
        retry: null,
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
        limits: {
          requestBodyMaxBytes: 0n,
          totalTimeout: { seconds: 1n, nanos: 500_000_000 },
          allowEncodedSlashes: true,
        },
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
      bodyMaxBytes: 0,
      totalTimeoutMs: 1_500,
      allowsEncodedSlashes: true,
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
        balancing: defaultBalancing,
        resilience: defaultResilience,
        passive: null,
        activeCheck: null,
        overrides: [],
        weightBasis: "per_address",
        usesSrvName: false,
        slots: 10_000,
        members: [
          {
            targetId: "t1",
            host: "a",
            port: 81,
            weight: 100,
            priority: 0,
            zone: null,
            maxInFlight: 0,
            impliedPort: 80,
          },
        ],
      },
    ]);
    expect(plan.services[0]!.poolIndex).toBe(0);
  });

  it.each([
    { given: {}, want: { weightBasis: "per_address", usesSrvName: false } },
    {
      given: { weightBasis: WeightBasis.PER_ADDRESS, useSrvName: false },
      want: { weightBasis: "per_address", usesSrvName: false },
    },
    {
      given: { weightBasis: WeightBasis.PER_TARGET, useSrvName: true },
      want: { weightBasis: "per_target", usesSrvName: true },
    },
  ])("reads how names become endpoints: $want", ({ given, want }) => {
    expect(planOf([upstream({ id: "u1", name: "x", ...given })]).pools[0]).toMatchObject(want);
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
    expect(plan.pools.map(({ serviceIds }) => serviceIds)).toEqual([["s1", "s2"], ["s3"]]);
  });

  it("gives a pool what people decided of its targets, and notes what has no target", () => {
    const plan = planOf([
      healthOverride({
        id: "o1",
        target: { id: "t1" },
        address: "[0::1]:81",
        healthy: true,
        expiresAt: { seconds: 9n },
        decidedAt: { seconds: 7n, nanos: 500_000_000 },
      }),
      healthOverride({ id: "o2", target: { id: "gone" } }),
      healthOverride({ id: "o3", target: { id: "t1" } }),
      u,
      target({ id: "t1", target: "[::1]:81", upstream: { id: "u1" } }),
    ]);
    const endpoint = { address: "::1", port: 81 };
    expect(plan.pools[0]!.overrides).toEqual([
      { id: "o1", targetId: "t1", endpoint, isHealthy: true, expiresAtMs: 9_000, decidedAtMs: 7_500 },
      { id: "o3", targetId: "t1", endpoint: null, isHealthy: false, expiresAtMs: null, decidedAtMs: 0 },
    ]);
    expect(plan.notes).toEqual(["health_override o2: there is no target gone"]);
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
    { target: "example.com:80", host: "example.com", port: 80 },
    { target: "example.com:8080", host: "example.com", port: 8080 },
    {
      target: "[0000:0000:0000:0000:0000:0000:0000:0001]:80",
      host: "0000:0000:0000:0000:0000:0000:0000:0001",
      port: 80,
    },
    { target: "my_host:0", host: "my_host", port: 0 },
  ])("reads the target $target", ({ target: text, host, port }) => {
    const plan = planOf([u, target({ id: "t1", target: text, upstream: { id: "u1" } })]);
    expect(plan.pools[0]!.members[0]).toMatchObject({ host, port, impliedPort: 80 });
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

  it("answers any bytes with a plan or a refusal, and never throws", () => {
    const kind = fc.constantFrom(
      "upstream",
      "target",
      "service",
      "route",
      "certificate",
      "sni",
      "ca_certificate",
      "ticket_key",
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({ kind, id: fc.string(), body: fc.uint8Array({ maxLength: 60 }) })),
        (entities) => {
          expect(typeof compileSnapshot(snapshot(entities), limits, trial).ok).toBe("boolean");
        },
      ),
    );
  });
});

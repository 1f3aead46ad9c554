import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type ObservationSchema, ObservationsSchema } from "../../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type RestRig, rigTimeMs, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;
/** Ids by upstream name or host:port. */
let ids: Map<string, string>;

beforeEach(async () => {
  rig = await startRestRig();
  onTestFinished(() => rig.close());
  ids = new Map();
  await createUpstream("u-act", { active: { healthy: { interval: 1 } } }, ["127.0.0.1:9001", "127.0.0.1:9002"]);
});

async function createUpstream(name: string, healthchecks: object, targets: readonly string[]): Promise<void> {
  ids.set(name, (await rig.create("/upstreams", { name, healthchecks })).id);
  for (const target of targets) {
    rig.nowMs++;
    ids.set(`${name} ${target}`, (await rig.create(`/upstreams/${name}/targets`, { target })).id);
  }
}

type Seen = MessageInitShape<typeof ObservationSchema>;

/** What a node says of endpoints of u-act, by the port of target and endpoint. */
function observe(nodeId: string, seen: Readonly<Record<number, Seen>>): void {
  rig.views.connected(nodeId, `host-of-${nodeId}`);
  const observations = Object.entries(seen).map(([port, said]) => ({
    upstreamId: ids.get("u-act")!,
    targetId: ids.get(`u-act 127.0.0.1:${port}`)!,
    address: `127.0.0.1:${port}`,
    healthy: true,
    isChecked: true,
    weight: 100,
    dns: "literal",
    ...said,
  }));
  rig.views.take(nodeId, create(ObservationsSchema, { observations, isStartOfAll: true }));
}

const out: Seen = { healthy: false, source: "active", reason: "connection refused", sinceUnixMs: 1_717_000_000_500n };
const get = async (path: string) => (await rig.send("GET", path)).json;

describe("GET /upstreams/{u}/health", () => {
  it("has Kong's shape, and beside it what each node sees", async () => {
    observe("n-1", { 9001: { ...out, transitionCount: 3n, probeFailures: 2n, probeSuccesses: 9n }, 9002: {} });
    observe("n-2", { 9001: out, 9002: {} });
    const body = await get("/upstreams/u-act/health");
    const target = (port: number, offsetMs: number) => ({
      id: ids.get(`u-act 127.0.0.1:${port}`),
      upstream: { id: ids.get("u-act") },
      target: `127.0.0.1:${port}`,
      weight: 100,
      failover: null,
      priority: null,
      zone: null,
      max_in_flight: null,
      tags: null,
      created_at: (rigTimeMs + offsetMs) / 1000,
      updated_at: (rigTimeMs + offsetMs) / 1000,
    });
    const node = (nodeId: string, view: object) => ({
      node_id: nodeId,
      hostname: `host-of-${nodeId}`,
      health: "HEALTHY",
      source: null,
      reason: null,
      since: 0,
      transitions: 0,
      probe_successes: 0,
      probe_failures: 0,
      dns: "literal",
      ...view,
    });
    const outView = { health: "UNHEALTHY", source: "active", reason: "connection refused", since: 1_717_000_000.5 };
    expect(body).toEqual({
      data: [
        {
          ...target(9002, 2),
          health: "HEALTHY",
          data: {
            host: "127.0.0.1",
            port: 9002,
            dns: "A",
            nodeWeight: 100,
            weight: { total: 100, unavailable: 0, available: 100 },
            addresses: [
              {
                ip: "127.0.0.1",
                port: 9002,
                weight: 100,
                health: "HEALTHY",
                healthy_on: "2 of 2",
                nodes: [node("n-1", {}), node("n-2", {})],
              },
            ],
          },
        },
        {
          ...target(9001, 1),
          health: "UNHEALTHY",
          data: {
            host: "127.0.0.1",
            port: 9001,
            dns: "A",
            nodeWeight: 100,
            weight: { total: 100, unavailable: 100, available: 0 },
            addresses: [
              {
                ip: "127.0.0.1",
                port: 9001,
                weight: 100,
                health: "UNHEALTHY",
                healthy_on: "0 of 2",
                nodes: [
                  node("n-1", { ...outView, transitions: 3, probe_failures: 2, probe_successes: 9 }),
                  node("n-2", outView),
                ],
              },
            ],
          },
        },
      ],
      next: null,
      node_id: "n1",
    });
  });

  it("is not overruled by one node of three (row 41)", async () => {
    observe("n-1", { 9001: out });
    for (const nodeId of ["n-2", "n-3"]) observe(nodeId, { 9001: {} });
    const { data } = await get("/upstreams/u-act/health");
    const [address] = data[1].data.addresses;
    expect([data[1].health, address.health, address.healthy_on]).toEqual(["HEALTHY", "HEALTHY", "2 of 3"]);
    expect(address.nodes.map((node: { health: string }) => node.health)).toEqual(["UNHEALTHY", "HEALTHY", "HEALTHY"]);
  });

  it("says HEALTHCHECKS_OFF where no check is configured and nobody is out, and where nobody reports", async () => {
    const states = async () => (await get("/upstreams/u-act/health")).data.map((row: { health: string }) => row.health);
    expect(await states()).toEqual(["HEALTHCHECKS_OFF", "HEALTHCHECKS_OFF"]);
    const [row] = (await get("/upstreams/u-act/health")).data;
    expect(row.data).toMatchObject({
      dns: "A",
      addresses: [{ ip: "127.0.0.1", port: 9002, health: "HEALTHCHECKS_OFF", healthy_on: "0 of 0", nodes: [] }],
    });
    observe("n-1", { 9001: { isChecked: false }, 9002: { isChecked: false } });
    expect(await states()).toEqual(["HEALTHCHECKS_OFF", "HEALTHCHECKS_OFF"]);
  });

  it("says DNS_ERROR of a name that no node could resolve, and why", async () => {
    observe("n-1", { 9001: { address: "", healthy: false, source: "dns", dns: "ENOTFOUND" } });
    const [, row] = (await get("/upstreams/u-act/health")).data;
    expect([row.health, row.data.dns, row.data.addresses]).toEqual(["DNS_ERROR", "ENOTFOUND", []]);
    expect(row.data.unresolved).toMatchObject([{ node_id: "n-1", source: "dns", dns: "ENOTFOUND" }]);
  });

  it("of a target that gets no requests is HEALTHCHECKS_OFF", async () => {
    observe("n-1", { 9001: out });
    await rig.send("PATCH", "/upstreams/u-act/targets/127.0.0.1:9001", { weight: 0 });
    expect((await get("/upstreams/u-act/health")).data[1].health).toBe("HEALTHCHECKS_OFF");
  });

  it("comes in pages, newest first, and is empty without targets", async () => {
    const first = await get("/upstreams/u-act/health?size=1");
    expect(first.data.map((row: { target: string }) => row.target)).toEqual(["127.0.0.1:9002"]);
    const second = await get(first.next);
    expect(second.data.map((row: { target: string }) => row.target)).toEqual(["127.0.0.1:9001"]);
    expect([second.next, second.node_id]).toEqual([null, "n1"]);
    await createUpstream("u-empty", {}, []);
    expect(await get("/upstreams/u-empty/health")).toEqual({ data: [], next: null, node_id: "n1" });
  });

  it.each([
    "/upstreams/none/health",
    "/upstreams/none/resilience",
    "/services/none/health",
    "/upstreams/u-act/targets/127.0.0.1:9001/health",
  ])("answers %s with 404", async (path) => {
    const reply = await rig.send("GET", path);
    expect([reply.status, reply.json]).toEqual([404, { message: "Not found" }]);
  });
});

describe("GET /upstreams/{u}/health?balancer_health=1", () => {
  it("tells of the upstream as a whole, in an object", async () => {
    observe("n-1", { 9001: out, 9002: {} });
    expect(await get("/upstreams/u-act/health?balancer_health=1")).toMatchObject({
      data: {
        id: ids.get("u-act"),
        health: "HEALTHY",
        balancer_health: "HEALTHY",
        details: {
          healthy: true,
          weight: { total: 200, unavailable: 100, available: 100 },
          hosts: [
            { host: "127.0.0.1", port: 9002, dns: "A", nodeWeight: 100, addresses: [{ healthy: true, weight: 100 }] },
            { host: "127.0.0.1", port: 9001, weight: { available: 0 }, addresses: [{ healthy: false }] },
          ],
        },
      },
      next: null,
      node_id: "n1",
    });
  });

  it("is unhealthy at or below the threshold, without targets, and not for lack of reports", async () => {
    const told = async (name = "u-act") => {
      const { health, balancer_health } = (await get(`/upstreams/${name}/health?balancer_health=1`)).data;
      return [health, balancer_health];
    };
    expect(await told()).toEqual(["HEALTHCHECKS_OFF", "HEALTHY"]);
    observe("n-1", { 9001: out, 9002: {} });
    await rig.send("PATCH", "/upstreams/u-act", { healthchecks: { threshold: 50 } });
    expect(await told()).toEqual(["UNHEALTHY", "UNHEALTHY"]);
    await createUpstream("u-empty", {}, []);
    expect(await told("u-empty")).toEqual(["HEALTHCHECKS_OFF", "UNHEALTHY"]);
  });
});

describe("GET /services/{s}/health", () => {
  it("tells which nodes cannot resolve the service's host", async () => {
    const { id } = await rig.create("/services", { name: "s", host: "gone.test", port: 81 });
    const seen = (address: string, dns: string) => [{ serviceId: id, address, dns, healthy: address !== "" }];
    rig.views.connected("n-1", "h");
    rig.views.take("n-1", create(ObservationsSchema, { observations: seen("", "ENOTFOUND") }));
    const told = (await get("/services/s/health")).data;
    expect(told).toMatchObject({ id, host: "gone.test", port: 81, health: "DNS_ERROR", addresses: [] });
    expect(told.unresolved).toMatchObject([{ node_id: "n-1", dns: "ENOTFOUND" }]);
    rig.views.take("n-1", create(ObservationsSchema, { observations: seen("10.0.0.1:81", "A"), isStartOfAll: true }));
    expect((await get("/services/s/health")).data).toMatchObject({
      health: "HEALTHCHECKS_OFF",
      addresses: [{ ip: "10.0.0.1", port: 81, healthy_on: "1 of 1" }],
      unresolved: [],
    });
    const out = [
      { serviceId: id, address: "10.0.0.1:81", dns: "A", healthy: false, source: "outlier", reason: "refused" },
    ];
    rig.views.take("n-1", create(ObservationsSchema, { observations: out }));
    expect((await get("/services/s/health")).data).toMatchObject({
      health: "UNHEALTHY",
      addresses: [{ health: "UNHEALTHY", healthy_on: "0 of 1", nodes: [{ source: "outlier", reason: "refused" }] }],
    });
  });
});

describe("GET /upstreams/{u}/resilience", () => {
  it("shows what the nodes go by, and which defaults were replaced by what", async () => {
    await rig.send("PATCH", "/upstreams/u-act", {
      resilience: { retry: { statuses: [503] } },
      healthchecks: { passive: { unhealthy: { http_failures: 3 } } },
    });
    const body = await get("/upstreams/u-act/resilience");
    expect(body).toMatchObject({
      upstream: { id: ids.get("u-act") },
      resilience: {
        retry: { enabled: true, statuses: [503], methods: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] },
        outlier: { consecutive_statuses: 3, base_ejection: 500, max_ejection: 10_000 },
        panic: { threshold: 0, mode: "fail_open" },
        probe: { initial: "healthy", port: null },
      },
      replaced_defaults: [
        { field: "outlier.consecutive_statuses", by: "healthchecks.passive.unhealthy.http_failures" },
      ],
    });
    expect((await get("/upstreams/u-act")).resilience.outlier).toBeNull();
  });
});

describe("a decision of a target's health", () => {
  const path = "/upstreams/u-act/targets/127.0.0.1:9001";
  const stored = () =>
    [...rig.store.image.all("health_override")].map(({ message: { address, healthy, expiresAt } }) => ({
      address,
      healthy,
      expiresAt: expiresAt === undefined ? null : Number(expiresAt.seconds),
    }));

  it.each([
    ["PUT", `${path}/unhealthy`, { address: "", healthy: false, expiresAt: null }],
    ["POST", `${path}/unhealthy`, { address: "", healthy: false, expiresAt: null }],
    ["PUT", `${path}/healthy`, { address: "", healthy: true, expiresAt: null }],
    ["PUT", `${path}/127.0.0.1:9001/unhealthy`, { address: "127.0.0.1:9001", healthy: false, expiresAt: null }],
    ["PUT", `${path}/10.0.0.1:1/unhealthy`, { address: "10.0.0.1:1", healthy: false, expiresAt: null }],
    ["PUT", `${path}/[::1]:1/healthy`, { address: "[::1]:1", healthy: true, expiresAt: null }],
    ["POST", `${path}/unhealthy?expires_in=10m`, { address: "", healthy: false, expiresAt: 1_717_000_600 }],
  ])("%s %s is kept", async (method, url, want) => {
    rig.nowMs = rigTimeMs;
    rig.fleet.applied = { appliedCount: 2, nodeCount: 3 };
    const reply = await rig.send(method, url);
    expect([reply.status, reply.text]).toEqual([204, ""]);
    expect(reply.headers["penstock-revision"]).toBe(String(rig.store.image.revision));
    expect(reply.headers["penstock-applied"]).toBe("2/3");
    expect(stored()).toEqual([want]);
  });

  it("works by id, waits as told, and on an upstream without checks, where Kong refuses", async () => {
    await createUpstream("off", {}, ["10.0.0.1:1"]);
    const id = ids.get("off 10.0.0.1:1");
    const reply = await rig.send("PUT", `/upstreams/${ids.get("off")}/targets/${id}/unhealthy?wait=none`);
    expect([reply.status, reply.headers["penstock-applied"]]).toEqual([204, undefined]);
  });

  it.each([
    ["/upstreams/none/targets/127.0.0.1:9001/unhealthy", 404, "Not found"],
    ["/upstreams/u-act/targets/9.9.9.9:9/unhealthy", 404, "Not found"],
    [
      `${path}/name.test:80/unhealthy`,
      400,
      "invalid address 'name.test:80': expected ip:port, an IPv6 address in brackets",
    ],
    [`${path}/127.0.0.1/healthy`, 400, "invalid address '127.0.0.1': expected ip:port, an IPv6 address in brackets"],
    [`${path}/unhealthy?expires_in=10`, 400, "expires_in must be a time from 1s to 365d, such as 30s, 10m or 12h"],
    [`${path}/unhealthy?expires_in=0s`, 400, "expires_in must be a time from 1s to 365d, such as 30s, 10m or 12h"],
    [`${path}/unhealthy?expires_in=366d`, 400, "expires_in must be a time from 1s to 365d, such as 30s, 10m or 12h"],
    [`${path}/unhealthy?wait=maybe`, 400, "wait must be 'applied' or 'none'"],
  ])("%s is refused with %i", async (url, status, message) => {
    const reply = await rig.send("PUT", url);
    expect([reply.status, reply.json]).toEqual([status, { message }]);
    expect(stored()).toEqual([]);
  });

  it("is not read or deleted there", async () => {
    const reply = await rig.send("GET", `${path}/healthy`);
    expect([reply.status, reply.headers.allow]).toEqual([405, "OPTIONS, POST, PUT"]);
  });
});

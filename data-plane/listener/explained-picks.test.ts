import { describe, expect, it } from "vitest";
import { defaultBalancing, type HashInputConfig, type InFlightConfig } from "../config/balancing-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { explainRequest } from "../proxy/explain-request.ts";
import type { Explanation, HeaderText } from "../proxy/explanation.ts";
import {
  answerText,
  type Backend,
  backend,
  closedPort,
  get,
  type Rig,
  rawBackend,
  rig,
  until,
} from "./proxy-server.test-rig.ts";

const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const address = ({ port }: Backend) => `127.0.0.1:${port}`;

function explain({ server }: Rig, path = "/", headers: readonly HeaderText[] = []): Promise<Explanation> {
  const place = { scheme: "http", method: "GET", host: "a.test", clientAddress: "127.0.0.1", sni: "" } as const;
  return explainRequest(server.engine, server, { ...place, path, headers });
}

function limited(inFlight: Partial<InFlightConfig>): Partial<PoolConfig> {
  return {
    balancing: { ...defaultBalancing, inFlight: { max: null, queueSize: 0, queueTimeoutMs: 60_000, ...inFlight } },
  };
}

function hashed(on: HashInputConfig, fallback: HashInputConfig | null = null): Partial<PoolConfig> {
  return {
    algorithm: "consistent-hashing",
    balancing: { ...defaultBalancing, hash: { on, fallback, boundedLoad: null } },
  };
}

/** Everything that a request counts, holds or moves. */
function standing({ table, server }: Rig) {
  const counters = ["requests", "attempts", "queued", "limit_in_flight", "responses_2xx"] as const;
  const { admissions } = table;
  return {
    counted: counters.map((name) => server.engine.counters.value(name)),
    cursor: table.cursor(0),
    underWay: [0, 1, 2].map((row) => table.inFlight(row)),
    ofPool: [table.poolInFlight(0), admissions.waitingCount(0)],
  };
}

describe("a pick that is explained", () => {
  it.each<{ name: string; pool: Partial<PoolConfig> }>([
    { name: "round-robin", pool: {} },
    { name: "least-connections", pool: { algorithm: "least-connections" } },
    { name: "latency", pool: { algorithm: "latency" } },
    { name: "consistent-hashing", pool: hashed({ kind: "path" }) },
    {
      name: "sticky-sessions",
      pool: { algorithm: "sticky-sessions", balancing: { ...defaultBalancing, sticky: { name: "s", path: "/" } } },
    },
    { name: "a pool with limits", pool: limited({ max: 2, queueSize: 2 }) },
  ])("is that of the next request, however often it is explained: $name", async ({ pool }) => {
    const targets = [await hello(), await hello(), await hello()];
    const endpoints = [{ weight: 3, maxInFlight: 2 }, { weight: 2 }, { weight: 1 }];
    const proxy = await rig({ ports: targets.map(({ port }) => port), endpoints, pool });
    for (let i = 0; i < 6; i++) {
      await proxy.ask(get(`/${i}`));
      const before = standing(proxy);
      const counts = targets.map(({ requests }) => requests.length);
      const picks = new Set<string>();
      for (let n = 0; n < 100; n++) picks.add((await explain(proxy, `/${i}`)).picked);
      expect(standing(proxy)).toEqual(before);
      await proxy.ask(get(`/${i}`));
      const went = targets.filter(({ requests }, k) => requests.length > counts[k]!);
      expect([...picks]).toEqual(went.map(address));
    }
  });

  it.each([
    { retries: 0, want: 0 },
    { retries: 1, want: 1 },
  ])("names an endpoint for the next attempt where there is one: with $retries retries", async ({ retries, want }) => {
    const ports = [await closedPort(), await closedPort()];
    const proxy = await rig({ ports, service: { retries } });
    const { endpoints, picked } = await explain(proxy);
    expect(endpoints.filter(({ next }) => next)).toHaveLength(want);
    expect([picked !== "", (await proxy.ask(get("/"))).head.slice(9, 12)]).toEqual([true, want === 0 ? "502" : "503"]);
    expect(proxy.counter("attempts")).toBe(1 + want);
  });

  it("tells what is drained, in which tier and zone, and how far a slow start has come", async () => {
    const sticky = { name: "s", path: "/" };
    const zones = { spillThresholdPercent: 0 };
    const pool = { algorithm: "sticky-sessions", balancing: { ...defaultBalancing, sticky, zones } } as const;
    const endpoints = [
      { weight: 0, stickyKey: "k0" },
      { stickyKey: "k1", maxInFlight: 7 },
      { stickyKey: "k2", isLocal: false },
      { stickyKey: "k3", priority: 1 },
    ];
    const targets = [await hello(), await hello(), await hello(), await hello()];
    const proxy = await rig({ ports: targets.map(({ port }) => port), endpoints, pool });
    const fresh = await explain(proxy);
    expect(fresh.endpoints).toMatchObject([
      { role: "draining", isIn: true, share: 0, weight: 0 },
      { role: "in_use", share: 1, priority: 0, isLocal: true, inFlight: 0, inFlightMax: 7, ramp: 1, picked: true },
      { role: "reserve", share: 0, isLocal: false },
      { role: "reserve", share: 0, priority: 1 },
    ]);
    expect(fresh.notes).toEqual(["the request has no cookie s: it begins a session, at whoever answers it"]);
    const held = await explain(proxy, "/", [{ name: "Cookie", value: "s=k0" }]);
    expect([held.picked, held.notes]).toEqual([
      address(targets[0]!),
      ["its cookie s names the endpoint that is picked"],
    ]);
    const lost = await explain(proxy, "/", [{ name: "Cookie", value: "s=gone" }]);
    expect(lost.picked).toBe(address(targets[1]!));
    expect(lost.notes).toEqual([
      "the endpoint that its cookie s names is gone, out, or emptied and at its limit: the session moves to whoever answers",
    ]);
    proxy.table.admissions.admitToEndpoint(1, 7);
    proxy.reapply({
      ports: targets.map(({ port }) => port),
      endpoints: endpoints.with(1, { stickyKey: "k1", maxInFlight: 1 }),
      pool,
    });
    const full = await explain(proxy, "/", [{ name: "Cookie", value: "s=k1" }]);
    expect(full.picked).toBe(address(targets[2]!));
    expect(full.notes).toEqual([
      "the endpoint that its cookie s names is at its limit: this request goes elsewhere, the session stays",
    ]);
    proxy.table.admissions.leaveEndpoint(1);
  });

  it.each<{ on: HashInputConfig; fallback?: HashInputConfig; path?: string; headers?: HeaderText[]; want: object }>([
    { on: { kind: "ip" }, want: { hashOn: "ip", hashValue: "127.0.0.1", notes: [] } },
    {
      on: { kind: "header", name: "x-user" },
      headers: [{ name: "X-User", value: "j\u00f6rg" }],
      want: { hashOn: "header x-user", hashValue: "j\u00f6rg", notes: [] },
    },
    {
      on: { kind: "query_arg", name: "u" },
      path: "/?u=%c3%a4",
      want: { hashOn: "query_arg u", hashValue: "\u00e4", notes: [] },
    },
    {
      on: { kind: "header", name: "x-user" },
      want: { hashValue: "", notes: ["the request has no header x-user: the client's address is hashed"] },
    },
    {
      on: { kind: "header", name: "x-user" },
      fallback: { kind: "path" },
      want: { hashValue: "", notes: ["the request has no header x-user: path is hashed"] },
    },
    {
      on: { kind: "header", name: "x-user" },
      fallback: { kind: "query_arg", name: "u" },
      want: { notes: ["the request has no header x-user, and no query_arg u: the client's address is hashed"] },
    },
    {
      on: { kind: "cookie", name: "c", path: "/" },
      want: {
        hashOn: "cookie c",
        hashValue: "",
        notes: [expect.stringMatching(/no cookie c: the client is given one/)],
      },
    },
  ])("tells what is hashed by $on", async ({ on, fallback = null, path = "/", headers = [], want }) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], pool: hashed(on, fallback) });
    const { pool, notes } = await explain(proxy, path, headers);
    expect({ ...pool, notes }).toMatchObject({ hashIsMissing: pool!.hashValue === "", ...want });
  });

  it("waits for its turn, or is refused, where requests would be", async () => {
    const target = await rawBackend(() => {});
    const proxy = await rig({ ports: [target.port], pool: limited({ max: 1, queueSize: 1 }) });
    expect((await explain(proxy)).outcome.kind).toBe("KIND_PROXIED");
    const first = proxy.client().send(get("/"));
    await until(() => target.sockets.size === 1);
    const queued = await explain(proxy);
    expect(queued).toMatchObject({ picked: "", outcome: { kind: "KIND_QUEUED", status: 0, error: "" } });
    expect(queued.pool).toMatchObject({ inFlight: 1, inFlightMax: 1, queued: 0, queueSize: 1 });
    const second = proxy.client().send(get("/"));
    await until(() => proxy.counter("queued") === 1);
    const refused = await explain(proxy);
    expect(refused.outcome).toMatchObject({ kind: "KIND_ANSWERED", status: 503, error: "at_limit" });
    expect(refused.pool).toMatchObject({ inFlight: 1, queued: 1 });
    const third = await proxy.ask(get("/"));
    expect([third.head.slice(9, 12), third.body]).toEqual(["503", expect.stringContaining(refused.outcome.message)]);
    for (const client of [second, first]) client.socket.resetAndDestroy();
    await until(() => proxy.table.admissions.admittedToPool(0) === 0);
  });

  it("does not wait behind a retry that others need not heed, as no request does", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], pool: limited({ max: 5, queueSize: 5 }) });
    const { admissions } = proxy.table;
    // A retry that is set aside (turn-queue.ts) waits, and has no turn that is published.
    expect(admissions.beginToWait(0, 5)).toBeGreaterThan(0);
    expect((await explain(proxy)).outcome.kind).toBe("KIND_PROXIED");
    expect((await proxy.ask(get("/"))).head).toContain(" 200 ");
    admissions.endWaiting(0);
  });

  it("is refused by the limit of endpoints as of the pool, and not where none is left", async () => {
    const target = await rawBackend(() => {});
    const proxy = await rig({ ports: [target.port], endpoints: [{ maxInFlight: 1 }] });
    const client = proxy.client().send(get("/"));
    await until(() => target.sockets.size === 1);
    const full = await explain(proxy);
    expect(full.outcome).toMatchObject({ status: 503, error: "at_limit" });
    expect(full.endpoints).toMatchObject([{ inFlight: 1, inFlightMax: 1, isIn: true, role: "in_use" }]);
    client.socket.resetAndDestroy();
    await until(() => proxy.table.inFlight(0) === 0);
    proxy.apply({ ports: [], pool: limited({ max: 1, queueSize: 1 }) });
    expect((await explain(proxy)).outcome).toMatchObject({ status: 503, error: "no_peer" });
  });
});

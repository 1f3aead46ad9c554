import { describe, expect, it } from "vitest";
import type { EndpointState } from "../balance/endpoint-state.ts";
import type { PickQuestion } from "../balance/picker.ts";
import { noTls } from "../config/tls-config.ts";
import { testEndpoint, testPool } from "../config/worker-config.test-entities.ts";
import type { EndpointSet, PoolConfig, RouteConfig, WorkerConfig } from "../config/worker-config.ts";
import { SnapshotHolder } from "./snapshot-holder.ts";

const state: EndpointState = {
  isOut: () => false,
  has: () => false,
  generation: () => 0,
  cursor: () => 0,
  advanceCursor: () => 0,
  advanceCursorPast: () => 0,
  eject: () => true,
  attemptBegins() {},
  attemptEnds() {},
  poolInFlight: () => 0,
  isAtLimit: () => false,
  ramp: () => 1_000,
  outOrder: () => 0,
  latencyUs: () => 0,
  latencyAgeMs: () => 0,
  inFlight: () => 0,
};

function poolConfig(key: string): PoolConfig {
  return testPool({ key, name: key });
}

function config(publication: number, ...keys: string[]): WorkerConfig {
  return { publication, revision: publication, routes: [], services: [], pools: keys.map(poolConfig), tls: noTls };
}

function set(poolKey: string, port: number): EndpointSet {
  const endpoints = [testEndpoint({ row: port, port })];
  return { poolKey, endpoints, emptyBecause: null, rings: null };
}

const question: PickQuestion = { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };
const ports = (holder: SnapshotHolder) =>
  holder.current!.pools.map((pool) => [pool!.config.key, pool!.picker.pick(question)?.port ?? pool!.set.emptyBecause]);

describe("SnapshotHolder", () => {
  it("serves nothing before the first config", () => {
    const holder = new SnapshotHolder(state, 1);
    expect(holder.current).toBeNull();
    holder.applyEndpoints([set("a", 1)]);
    expect(holder.current).toBeNull();
  });

  it("lets go of what it knows of a pool's traffic with the pool", () => {
    const holder = new SnapshotHolder(state, 1);
    holder.apply(config(1, "a", "b"), [set("a", 1), set("b", 2)]);
    const known = holder.current!.pools.map((pool, i) => {
      const { history } = pool!;
      const waits = history.waitsOf("r").at(i + 1);
      const request = { waitingSinceMs: 0, waits: null, previousWaiting: null, nextWaiting: null };
      waits.begin(request, 0);
      waits.answered(request, 1);
      return waits;
    });
    holder.apply(
      { ...config(2, "b"), routes: [{ id: "r", protocols: [], serviceIndex: -1 } as unknown as RouteConfig] },
      [],
    );
    expect(known.map(({ keptAt }) => keptAt >= 0)).toEqual([false, true]);
  });

  it("takes many pools, and lets go of many, in many small steps on both sides of the swap", () => {
    const holder = new SnapshotHolder(state, 1);
    const keys = (name: string) => Array.from({ length: 2_000 }, (_, i) => `${name}-${i}`);
    holder.apply(config(1, ...keys("a")), []);
    const { publication, revision, pools, tls } = config(2, ...keys("b"));
    const page = { pools: pools.map((pool, slot) => [slot, pool, null] as const) };
    const steps = holder.applySteps({ publication, revision, isWhole: true, tls }, [page]);
    let [stepCount, forgetCount] = [0, 0];
    let step = steps.next();
    for (; !step.done; step = steps.next()) {
      expect(holder.current!.publication).toBe(1);
      stepCount++;
    }
    expect(holder.current!.publication).toBe(2);
    const forgetSteps = step.value;
    while (!forgetSteps.next().done) forgetCount++;
    // 2,000 each to be noted, made, begun with, closed and looked at.
    expect([stepCount > 2_000, forgetCount >= 3 * 7]).toEqual([true, true]);
  });

  it("keeps the endpoints of pools that come without a set", () => {
    const holder = new SnapshotHolder(state, 1);
    holder.apply(config(1, "a", "b"), [set("a", 1), set("b", 2)]);
    holder.apply(config(2, "c", "b"), [set("c", 3)]);
    expect(ports(holder)).toEqual([
      ["c", 3],
      ["b", 2],
    ]);
    expect(holder.current!.publication).toBe(2);
  });

  it("calls a pool unresolved that never had a set", () => {
    const holder = new SnapshotHolder(state, 1);
    holder.apply(config(1, "a"), []);
    expect(ports(holder)).toEqual([["a", "unresolved"]]);
  });

  it("replaces the endpoints of some pools and leaves the others as they are", () => {
    const holder = new SnapshotHolder(state, 1);
    holder.apply(config(1, "a", "b"), [set("a", 1), set("b", 2)]);
    const before = holder.current!;
    holder.applyEndpoints([set("b", 9), set("gone", 8)]);
    expect(ports(holder)).toEqual([
      ["a", 1],
      ["b", 9],
    ]);
    expect(holder.current!.pools[0]).toBe(before.pools[0]);
    expect(before.pools[1]!.picker.pick(question)?.port).toBe(2);
  });

  it("leaves what says the same as it is when all comes anew", () => {
    const anything = { hosts: null, methods: null, headers: null, snis: null };
    const route = (id: string) => ({ ...anything, id, protocols: ["http"], paths: ["/"], serviceIndex: 0 });
    const service = (id: string) => ({ id, tls: null, poolIndex: 0 });
    const of = (publication: number, ...ids: string[]) =>
      ({
        ...config(publication, "a", "b"),
        routes: ids.map(route),
        services: ids.map(service),
      }) as unknown as WorkerConfig;
    const holder = new SnapshotHolder(state, 1);
    holder.apply(of(1, "one", "two"), [set("a", 1), set("b", 2)]);
    const before = holder.current!;
    holder.apply(of(2, "one", "other"), [set("a", 1), set("b", 9)]);
    const { pools, services, routes } = holder.current!;
    expect([pools[0] === before.pools[0], pools[1] === before.pools[1]]).toEqual([true, false]);
    expect(services.map((one, i) => one === before.services[i])).toEqual([true, false]);
    expect(routes.routes.map((one, i) => one === before.routes.routes[i])).toEqual([true, false]);
    expect([services[1]!.id, routes.routes[1]!.id]).toEqual(["other", "other"]);
    expect(ports(holder)).toEqual([
      ["a", 1],
      ["b", 9],
    ]);
    // What is the same in another place has moved there.
    holder.apply({ ...of(3, "other"), pools: [poolConfig("b"), poolConfig("c")] }, [set("b", 9), set("c", 3)]);
    expect(holder.current!.pools[0]).toBe(pools[1]);
    expect(holder.current!.services).toEqual([service("other")]);
    expect(ports(holder)).toEqual([
      ["b", 9],
      ["c", 3],
    ]);
  });

  it("keeps what it served when a config cannot be built", () => {
    const holder = new SnapshotHolder(state, 1);
    holder.apply(config(1, "a"), [set("a", 1)]);
    const before = holder.current;
    const bad = { ...config(2, "a"), routes: [{ paths: ["~/("], hosts: null, protocols: ["http"], serviceIndex: -1 }] };
    expect(() => holder.apply(bad as unknown as WorkerConfig, [])).toThrow();
    expect(holder.current).toBe(before);
  });
});

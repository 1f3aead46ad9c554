import { describe, expect, it } from "vitest";
import type { EndpointState } from "../balance/endpoint-state.ts";
import { defaultResilience } from "../config/resilience-config.ts";
import { noTls } from "../config/tls-config.ts";
import type { EndpointSet, PoolConfig, WorkerConfig } from "../config/worker-config.ts";
import { SnapshotHolder } from "./snapshot-holder.ts";

const state: EndpointState = {
  isOut: () => false,
  has: () => false,
  generation: () => 0,
  cursor: () => 0,
  advanceCursor: () => 0,
  eject: () => true,
  attemptBegins() {},
  attemptEnds() {},
  inFlight: () => 0,
};

function poolConfig(key: string): PoolConfig {
  return {
    key,
    name: key,
    poolRow: 0,
    hostHeader: null,
    isUpstream: true,
    algorithm: "round-robin",
    resilience: defaultResilience,
    passive: null,
  };
}

function config(publication: number, ...keys: string[]): WorkerConfig {
  return { publication, revision: publication, routes: [], services: [], pools: keys.map(poolConfig), tls: noTls };
}

function set(poolKey: string, port: number): EndpointSet {
  const endpoints = [{ row: port, address: "127.0.0.1", port, weight: 1, hostHeader: "a" }];
  return { poolKey, endpoints, emptyBecause: null };
}

const ports = (holder: SnapshotHolder) =>
  holder.current!.pools.map((pool) => [pool.config.key, pool.picker.pick([])?.port ?? pool.set.emptyBecause]);

describe("SnapshotHolder", () => {
  it("serves nothing before the first config", () => {
    const holder = new SnapshotHolder(state, 1);
    expect(holder.current).toBeNull();
    holder.applyEndpoints([set("a", 1)]);
    expect(holder.current).toBeNull();
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
    expect(before.pools[1]!.picker.pick([])?.port).toBe(2);
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

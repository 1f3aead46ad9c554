import { describe, expect, it } from "vitest";
import { PanicMode } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { Algorithm, HashInput } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import { limits, snapshot, target, trial, upstream } from "./compile-snapshot.test-entities.ts";
import { compileSnapshot } from "./compile-snapshot.ts";

function poolOf(...entities: SnapshotEntity[]): PoolPlan {
  const outcome = compileSnapshot(snapshot(entities), limits, trial);
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.refusal));
  return outcome.plan.pools[0]!.plan;
}

const ofU1 = { upstream: { id: "u1" } };

describe("an upstream with its targets, compiled", () => {
  it("has everything in it that is set", () => {
    const pool = poolOf(
      upstream({
        id: "u1",
        name: "x",
        algorithm: Algorithm.CONSISTENT_HASHING,
        hashOn: HashInput.HEADER,
        hashOnHeader: "X-User",
        hashFallback: HashInput.COOKIE,
        hashOnCookie: "sid",
        hashOnCookiePath: "/a",
        slots: 65_536,
        stickySessionsCookie: "unread",
        resilience: { panic: { threshold: 20, mode: PanicMode.LAST_GOOD } },
        balancing: {
          failover: { overflowThreshold: 70, failBackDelay: { seconds: 10n } },
          slowStart: { window: { seconds: 30n }, minWeight: 5, aggression: 2 },
          zones: { preferLocal: true, spillThreshold: 50 },
          inFlight: { max: 100, maxPerEndpoint: 10, queueSize: 20, queueTimeout: { nanos: 500_000_000 } },
          boundedLoad: 1.5,
        },
      }),
      target({ id: "t1", target: "a:80", failover: true, zone: "eu-1a", ...ofU1 }),
      target({ id: "t2", target: "b:80", failover: true, priority: 3, maxInFlight: 2, ...ofU1 }),
    );
    expect(pool).toMatchObject({
      algorithm: "consistent-hashing",
      slots: 65_536,
      balancing: {
        hash: {
          on: { kind: "header", name: "x-user" },
          fallback: { kind: "cookie", name: "sid", path: "/a" },
          boundedLoad: 1.5,
        },
        sticky: null,
        failover: { overflowThresholdPercent: 70, failBackDelayMs: 10_000 },
        slowStart: { windowMs: 30_000, minRatio: 0.05, aggression: 2 },
        zones: { spillThresholdPercent: 50 },
        inFlight: { max: 100, queueSize: 20, queueTimeoutMs: 500 },
      },
      resilience: { panic: { thresholdPercent: 20, mode: "last_good" } },
      members: [
        { host: "a", priority: 1, zone: "eu-1a", maxInFlight: 10 },
        { host: "b", priority: 3, zone: null, maxInFlight: 2 },
      ],
    });
  });

  it.each([
    { said: undefined, slots: 10_000 },
    { said: 10, slots: 10 },
    { said: 65_536, slots: 65_536 },
  ])("has $slots slots where $said are said", ({ said, slots }) => {
    expect(poolOf(upstream({ id: "u1", name: "x", ...(said && { slots: said }) })).slots).toBe(slots);
  });

  it.each(Object.values(Algorithm).filter((algorithm) => algorithm !== Algorithm.UNSPECIFIED))(
    "keeps a target of weight 0 for sticky sessions only (algorithm %i)",
    (algorithm) => {
      const pool = poolOf(
        upstream({ id: "u1", name: "x", algorithm, stickySessionsCookie: "sid" }),
        target({ id: "t1", target: "a:80", weight: 0, ...ofU1 }),
        target({ id: "t2", target: "b:80", weight: 5, ...ofU1 }),
      );
      const isSticky = algorithm === Algorithm.STICKY_SESSIONS;
      expect(pool.members.map(({ weight }) => weight)).toEqual(isSticky ? [0, 5] : [5]);
      expect(pool.balancing.sticky).toEqual(isSticky ? { name: "sid", path: "/" } : null);
    },
  );
});

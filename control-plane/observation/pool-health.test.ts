import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ConfiguredTarget, HealthState } from "./merge-health.ts";
import type { EndpointView } from "./node-views.ts";
import { PoolHealth } from "./pool-health.ts";

const target = (id: string, weight = 100): ConfiguredTarget => ({ id, target: `${id}.test:80`, weight });

const view = (targetId: string, address: string, init: Partial<EndpointView> = {}): EndpointView => ({
  targetId,
  address,
  isHealthy: true,
  source: "",
  reason: "",
  sinceUnixMs: 0,
  weight: 100,
  transitionCount: 0,
  probeSuccesses: 0,
  probeFailures: 0,
  isChecked: true,
  dns: "A",
  ...init,
});
const out = { isHealthy: false };
const unchecked = { isChecked: false };

interface NodePoolView {
  readonly nodeId: string;
  readonly endpoints: readonly EndpointView[];
}

const node = (nodeId: string, ...endpoints: EndpointView[]): NodePoolView => ({ nodeId, endpoints });

function mergeHealth(targets: readonly ConfiguredTarget[], nodes: readonly NodePoolView[], threshold: number) {
  const pool = new PoolHealth();
  for (const { nodeId, endpoints } of nodes) {
    for (const seen of endpoints) pool.set({ nodeId, hostname: `host-of-${nodeId}`, view: seen });
  }
  return pool.merge(targets, threshold);
}

interface Case {
  readonly name: string;
  readonly nodes: readonly NodePoolView[];
  readonly pool: HealthState;
  readonly t: HealthState;
  /** "address state healthy/reporting" of each endpoint. */
  readonly endpoints: readonly string[];
}

const cases: readonly Case[] = [
  { name: "no node that reports", nodes: [], pool: "UNKNOWN", t: "UNKNOWN", endpoints: [] },
  {
    name: "one of three nodes that sees it out (row 41)",
    nodes: [node("a", view("t", "1:1", out)), node("b", view("t", "1:1")), node("c", view("t", "1:1"))],
    pool: "HEALTHY",
    t: "HEALTHY",
    endpoints: ["1:1 HEALTHY 2/3"],
  },
  {
    name: "every node that sees it out",
    nodes: [node("a", view("t", "1:1", out)), node("b", view("t", "1:1", out))],
    pool: "UNHEALTHY",
    t: "UNHEALTHY",
    endpoints: ["1:1 UNHEALTHY 0/2"],
  },
  {
    name: "one healthy address of two",
    nodes: [node("a", view("t", "1:1", out), view("t", "2:1"))],
    pool: "HEALTHY",
    t: "HEALTHY",
    endpoints: ["1:1 UNHEALTHY 0/1", "2:1 HEALTHY 1/1"],
  },
  {
    name: "no check, and nobody out",
    nodes: [node("a", view("t", "1:1", unchecked)), node("b", view("t", "1:1", unchecked))],
    pool: "HEALTHCHECKS_OFF",
    t: "HEALTHCHECKS_OFF",
    endpoints: ["1:1 HEALTHCHECKS_OFF 2/2"],
  },
  {
    name: "no check, and one that is out by what it did",
    nodes: [node("a", view("t", "1:1", { ...unchecked, ...out }), view("t", "2:1", unchecked))],
    pool: "HEALTHY",
    t: "HEALTHY",
    endpoints: ["1:1 UNHEALTHY 0/1", "2:1 HEALTHCHECKS_OFF 1/1"],
  },
  {
    name: "no check, and all out by what they did",
    nodes: [node("a", view("t", "1:1", { ...unchecked, ...out }))],
    pool: "UNHEALTHY",
    t: "UNHEALTHY",
    endpoints: ["1:1 UNHEALTHY 0/1"],
  },
  {
    name: "a name that no node could resolve",
    nodes: [node("a", view("t", "", out)), node("b", view("t", "", out))],
    pool: "UNHEALTHY",
    t: "DNS_ERROR",
    endpoints: [" DNS_ERROR 0/2"],
  },
  {
    name: "a name that one node could resolve",
    nodes: [node("a", view("t", "", out)), node("b", view("t", "1:1"))],
    pool: "HEALTHY",
    t: "HEALTHY",
    endpoints: [" DNS_ERROR 0/1", "1:1 HEALTHY 1/1"],
  },
];

describe("PoolHealth.merge", () => {
  it.each(cases)("with $name", ({ nodes, pool, t, endpoints }) => {
    const merged = mergeHealth([target("t")], nodes, 0);
    const told = merged.targets[0]!.endpoints.map(
      (one) => `${one.address} ${one.state} ${one.healthyNodeCount}/${one.reportingNodeCount}`,
    );
    expect([merged.state, merged.targets[0]!.state, told]).toEqual([pool, t, endpoints]);
  });

  it("says HEALTHCHECKS_OFF of a target that gets no requests, and does not count it", () => {
    const nodes = [node("a", view("t", "1:1", out), view("drained", "2:1"))];
    const merged = mergeHealth([target("t"), target("drained", 0)], nodes, 0);
    expect(merged.targets.map(({ state }) => state)).toEqual(["UNHEALTHY", "HEALTHCHECKS_OFF"]);
    expect(merged.state).toBe("UNHEALTHY");
  });

  it("tells what each node sees, and the largest weight", () => {
    const nodes = [
      node("a", view("t", "1:1", { reason: "503", weight: 10 })),
      node("b", view("t", "1:1", { weight: 20 })),
    ];
    const [endpoint] = mergeHealth([target("t")], nodes, 0).targets[0]!.endpoints;
    expect(endpoint?.views.map(({ nodeId, hostname, view: { reason } }) => [nodeId, hostname, reason])).toEqual([
      ["a", "host-of-a", "503"],
      ["b", "host-of-b", ""],
    ]);
    expect(endpoint?.weight).toBe(20);
  });

  it.each([
    { threshold: 49, want: "HEALTHY" },
    { threshold: 50, want: "UNHEALTHY" },
  ])("with half the weight left and a threshold of $threshold % is $want", ({ threshold, want }) => {
    const nodes = [node("a", view("t", "1:1", out), view("t", "2:1"))];
    expect(mergeHealth([target("t")], nodes, threshold).state).toBe(want);
  });

  it("is healthy while one node has enough, though another has not", () => {
    const nodes = [node("a", view("t", "1:1", out)), node("b", view("t", "1:1"))];
    expect(mergeHealth([target("t")], nodes, 60).state).toBe("HEALTHY");
  });
});

describe("PoolHealth", () => {
  it("merges nothing anew but the endpoint that has changed", () => {
    const pool = new PoolHealth();
    const targets = ["a", "b", "c"].map((id) => target(id));
    const see = (nodeId: string, seen: EndpointView) => pool.set({ nodeId, hostname: "h", view: seen });
    for (const nodeId of ["n1", "n2"]) {
      for (const { id } of targets) for (const address of ["1:1", "2:1"]) see(nodeId, view(id, address));
    }
    const before = pool.merge(targets, 0).targets;
    see("n2", view("b", "2:1", out));
    const after = pool.merge(targets, 0).targets;
    expect(after.map((one, i) => one === before[i])).toEqual([true, false, true]);
    expect(after[1]!.endpoints.map((one, i) => one === before[1]!.endpoints[i])).toEqual([true, false]);
    expect(after[1]!.endpoints[1]).toMatchObject({ healthyNodeCount: 1, reportingNodeCount: 2 });
    // What was told before stays as it was told.
    expect(before[1]!.endpoints[1]).toMatchObject({ healthyNodeCount: 2, reportingNodeCount: 2 });
    expect(before[1]!.endpoints[1]!.views.every((one) => one.view.isHealthy)).toBe(true);
  });

  it("says after any changes what it would say had it been told the last state at once", () => {
    const nodes = fc.constantFrom("n1", "n2", "n3");
    const ids = fc.constantFrom("a", "b", "c");
    const addresses = fc.constantFrom("", "1:1", "2:1");
    const told = fc.record({ isHealthy: fc.boolean(), isChecked: fc.boolean(), weight: fc.constantFrom(0, 1, 100) });
    const change = fc.record({ nodeId: nodes, id: ids, address: addresses, told: fc.option(told) });
    const configured = fc.uniqueArray(fc.record({ id: ids, weight: fc.constantFrom(0, 100) }), {
      selector: ({ id }) => id,
    });
    const step = fc.record({ changes: fc.array(change, { maxLength: 6 }), configured });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.constantFrom(0, 50), (steps, threshold) => {
        const pool = new PoolHealth();
        const model = new Map<string, { nodeId: string; hostname: string; view: EndpointView }>();
        for (const { changes, configured: asked } of steps) {
          for (const { nodeId, id, address, told: seen } of changes) {
            const key = `${nodeId} ${id} ${address}`;
            expect(pool.has(nodeId, id, address)).toBe(model.has(key));
            if (seen !== null) {
              const one = { nodeId, hostname: "h", view: view(id, address, seen) };
              model.set(key, one);
              pool.set(one);
            } else if (model.delete(key)) pool.delete(nodeId, pool.find(id, address)!);
          }
          const fresh = new PoolHealth();
          for (const one of model.values()) fresh.set(one);
          const targets = asked.map(({ id, weight }) => target(id, weight));
          expect(pool.merge(targets, threshold)).toEqual(fresh.merge(targets, threshold));
          expect([pool.isEmpty, [...pool.views()].length]).toEqual([model.size === 0, model.size]);
        }
      }),
    );
  });
});

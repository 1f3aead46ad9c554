import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testEndpoint } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { hashRingSteps, hashRings } from "./hash-ring.ts";

describe("hashRings", () => {
  it.each([
    { count: 2, slotCount: 1_000, sets: 20 },
    { count: 10, slotCount: 1_000, sets: 20 },
    { count: 100, slotCount: 10_000, sets: 4 },
    { count: 655, slotCount: 65_536, sets: 1 },
  ])(
    "gives each of $count equal endpoints its share within 10 %, with $slotCount slots",
    ({ count, slotCount, sets }) => {
      for (let number = 0; number < sets; number++) {
        const owners = ownersOf(endpointsOf(count, number), slotCount);
        for (const slots of countByRow(owners).values())
          expect(Math.abs((slots * count) / owners.length - 1)).toBeLessThanOrEqual(0.1);
      }
    },
  );

  it("gives endpoints slots by weight, also one that is far heavier than the others", () => {
    const weights = [1, 2, 5, 10, 50, 1_000];
    const endpoints = endpointsOf(6, 0).map((each, i) => ({ ...each, weight: weights[i]! }));
    const owners = ownersOf(endpoints, 10_000);
    const counts = countByRow(owners);
    for (const { row, weight } of endpoints) {
      const due = (owners.length * weight) / 1_068;
      // Four standard deviations; 3 % of the slots of the heaviest.
      expect(Math.abs(counts.get(row)! - due)).toBeLessThanOrEqual(4 * 0.72 * Math.sqrt(due));
    }
  });

  it.each([
    { count: 3, slotCount: 1_000, sets: 40 },
    { count: 10, slotCount: 1_000, sets: 40 },
    { count: 100, slotCount: 10_000, sets: 6 },
  ])(
    "has at most 1.25 / n of the slots change hands when one of $count comes or goes",
    ({ count, slotCount, sets }) => {
      let movedShares = 0;
      let needlesslyMoved = 0;
      for (let number = 0; number < sets; number++) {
        const all = endpointsOf(count, number);
        const goes = (number * 7) % count;
        const before = ownersOf(all, slotCount);
        const after = ownersOf(
          all.filter((_, i) => i !== goes),
          slotCount,
        );
        movedShares += (before.filter((owner, i) => owner.row !== after[i]!.row).length * count) / before.length;
        needlesslyMoved +=
          before.filter((owner, i) => owner.row !== goes && owner.row !== after[i]!.row).length / before.length;
      }
      // e = 0.02, 0.05, 0.07.
      expect(movedShares / sets).toBeLessThanOrEqual(1.25);
      expect((needlesslyMoved / sets) * count).toBeLessThanOrEqual(0.25);
    },
  );

  it("moves slots only to an endpoint that weighs more, but for few", () => {
    const before = endpointsOf(10, 3);
    const after = before.map((each, i) => (i === 4 ? { ...each, weight: 150 } : each));
    const [owners, ownersAfter] = [ownersOf(before, 1_000), ownersOf(after, 1_000)];
    const moved = owners.filter((owner, i) => owner.row !== ownersAfter[i]!.row).length / owners.length;
    // What it has to gain: from 10 % to 14.3 %.
    expect(moved).toBeLessThan(1.25 * (150 / 1_050 - 0.1) + 0.005);
    expect(moved).toBeGreaterThan(0.03);
  });

  it("gives the same in any order of the endpoints, and whatever their rows", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(weights, fc.infiniteStream(fc.nat()), fc.boolean(), (given, order, isTwinned) => {
        const endpoints = endpointsOf(given.length, 0).map((each, i) => ({ ...each, weight: given[i]! }));
        // Another target at the same address.
        if (isTwinned) endpoints.push({ ...endpoints[0]!, row: 500, weight: 7 });
        const keys = new Map(endpoints.map((each) => [each, order.next().value] as const));
        const shuffled = endpoints
          .toSorted((a, b) => keys.get(a)! - keys.get(b)!)
          .map((each, row) => ({ ...each, row }));
        const name = ({ address, weight }: EndpointConfig) => `${address} ${weight}`;
        expect(ownersOf(shuffled, 10).map(name)).toEqual(ownersOf(endpoints, 10).map(name));
      }),
      { numRuns: 20 },
    );
  });

  it("gives two that look the same slots of their own", () => {
    const twin = testEndpoint({ weight: 100 });
    const counts = countByRow(ownersOf([twin, { ...twin, row: 1 }], 1_000));
    expect(counts.get(0)! / (counts.get(0)! + counts.get(1)!)).toBeCloseTo(0.5, 1);
  });

  it("makes one table for each tier and locality, without those of weight 0", () => {
    const endpoints = [
      testEndpoint({ row: 0, priority: 1 }),
      testEndpoint({ row: 1, isLocal: false }),
      testEndpoint({ row: 2, weight: 0 }),
      testEndpoint({ row: 3, port: 81 }),
    ];
    const rings = hashRings(endpoints, 10).map((ring) => ({ ...ring, slots: new Set(new Uint16Array(ring.slots)) }));
    expect(rings).toHaveLength(3);
    expect(rings).toContainEqual({ priority: 1, isLocal: true, slots: new Set([0]) });
    expect(rings).toContainEqual({ priority: 0, isLocal: false, slots: new Set([1]) });
    expect(rings).toContainEqual({ priority: 0, isLocal: true, slots: new Set([3]) });
    expect(hashRings([], 10)).toEqual([]);
  });

  it.each([
    { count: 1, stepsMin: 24 },
    { count: 655, stepsMin: 4 * 24 },
  ])("is made in at least $stepsMin steps for $count endpoints, and is the same", ({ count, stepsMin }) => {
    const endpoints = endpointsOf(count, 0);
    const steps = hashRingSteps(endpoints, 65_536);
    let stepCount = 0;
    let step = steps.next();
    for (; !step.done; step = steps.next()) stepCount++;
    expect(stepCount).toBeGreaterThanOrEqual(stepsMin);
    const owners = Array.from(new Uint16Array(step.value[0]!.slots), (i) => endpoints[i]!);
    expect(owners).toEqual(ownersOf(endpoints, 65_536));
  });

  it("leads to the same endpoints for ever", () => {
    const owners = ownersOf(endpointsOf(5, 0), 10);
    const rows = Array.from({ length: 24 }, (_, i) => owners[i * 500]!.row);
    expect(rows).toEqual([4, 1, 4, 1, 3, 4, 4, 4, 2, 0, 4, 2, 4, 2, 1, 0, 2, 0, 1, 0, 4, 4, 1, 2]);
  });
});

function endpointsOf(count: number, number: number): EndpointConfig[] {
  const address = (i: number) => `10.${number}.${i >> 8}.${i & 255}`;
  return Array.from({ length: count }, (_, row) => testEndpoint({ row, address: address(row), weight: 100 }));
}

/** Of each slot. */
function ownersOf(endpoints: readonly EndpointConfig[], slotCount: number): EndpointConfig[] {
  const [ring] = hashRings(endpoints, slotCount);
  return Array.from(new Uint16Array(ring!.slots), (i) => endpoints[i]!);
}

function countByRow(owners: readonly EndpointConfig[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { row } of owners) counts.set(row, (counts.get(row) ?? 0) + 1);
  return counts;
}

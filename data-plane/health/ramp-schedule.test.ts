import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import { isRamping, type RampPolicy, rampAt, rampPolicy, rampWhileOut } from "./ramp-schedule.ts";

const evenly: RampPolicy = { holdMs: 0, windowMs: 10_000, minRamp: 100, aggression: 1 };

describe("rampAt", () => {
  it.each([
    { name: "begins with the least", policy: evenly, inForMs: 0, want: { ramp: 100, nextInMs: 200 } },
    { name: "stays there until its share is more", policy: evenly, inForMs: 900, want: { ramp: 100, nextInMs: 200 } },
    { name: "grows evenly", policy: evenly, inForMs: 5_000, want: { ramp: 500, nextInMs: 200 } },
    { name: "ends on time", policy: evenly, inForMs: 9_950, want: { ramp: 995, nextInMs: 50 } },
    { name: "is whole at the end", policy: evenly, inForMs: 10_000, want: { ramp: 1_000, nextInMs: null } },
    {
      name: "takes no step shorter than 100 ms",
      policy: { ...evenly, windowMs: 1_000 },
      inForMs: 500,
      want: { ramp: 500, nextInMs: 100 },
    },
    {
      name: "grows fast at first with an aggression above 1",
      policy: { ...evenly, aggression: 2 },
      inForMs: 2_500,
      want: { ramp: 500, nextInMs: 200 },
    },
    {
      name: "grows slowly at first with one below 1",
      policy: { ...evenly, aggression: 0.5 },
      inForMs: 5_000,
      want: { ramp: 250, nextInMs: 200 },
    },
    {
      name: "is nothing while it is held back",
      policy: { ...evenly, holdMs: 3_000 },
      inForMs: 1_000,
      want: { ramp: 0, nextInMs: 2_000 },
    },
    {
      name: "grows from the end of that on",
      policy: { ...evenly, holdMs: 3_000 },
      inForMs: 8_000,
      want: { ramp: 500, nextInMs: 200 },
    },
    {
      name: "is whole after that without slow start",
      policy: { ...evenly, holdMs: 3_000, windowMs: 0 },
      inForMs: 3_000,
      want: { ramp: 1_000, nextInMs: null },
    },
  ])("$name", ({ policy, inForMs, want }) => {
    expect(rampAt(policy, inForMs)).toEqual(want);
  });

  it("never falls, and is whole after at most 51 steps, at the latest at its end", () => {
    const policies = fc.record({
      holdMs: fc.nat(10_000),
      windowMs: fc.nat(86_400_000),
      minRamp: fc.integer({ min: 1, max: 1_000 }),
      aggression: fc.double({ min: 0.1, max: 10, noNaN: true }),
    });
    fc.assert(
      fc.property(policies, (policy) => {
        let inForMs = 0;
        let before = -1;
        let steps = 0;
        for (let step = rampAt(policy, 0); ; step = rampAt(policy, inForMs)) {
          expect(step.ramp).toBeGreaterThanOrEqual(before);
          before = step.ramp;
          if (step.nextInMs === null) break;
          expect(step.nextInMs).toBeGreaterThan(0);
          inForMs += step.nextInMs;
          steps++;
        }
        expect(before).toBe(1_000);
        expect(inForMs).toBeLessThanOrEqual(policy.holdMs + policy.windowMs + 1);
        expect(steps).toBeLessThanOrEqual(53);
      }),
    );
  });
});

describe("rampPolicy", () => {
  const failover = { overflowThresholdPercent: 0, failBackDelayMs: 5_000 };
  const slowStart = { windowMs: 10_000, minRatio: 0.2, aggression: 1 };
  it.each([
    { name: "nothing by default", balancing: {}, hasLowerTier: true, out: 1_000, ramps: false },
    { name: "a hold before a lower tier", balancing: { failover }, hasLowerTier: true, out: 0, ramps: true },
    { name: "none without one", balancing: { failover }, hasLowerTier: false, out: 1_000, ramps: false },
    { name: "a slow start", balancing: { slowStart }, hasLowerTier: true, out: 200, ramps: true },
    { name: "both", balancing: { failover, slowStart }, hasLowerTier: true, out: 0, ramps: true },
  ])("has $name", ({ balancing, hasLowerTier, out, ramps }) => {
    const policy = rampPolicy({ ...defaultBalancing, ...balancing }, hasLowerTier);
    expect([rampWhileOut(policy), isRamping(policy)]).toEqual([out, ramps]);
  });
});

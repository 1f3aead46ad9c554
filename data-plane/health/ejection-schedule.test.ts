import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EjectionSchedule } from "./ejection-schedule.ts";

/** In the middle of the jitter: times are exact. */
const EVEN = 0.5;

describe("EjectionSchedule", () => {
  it("probes after half a second, a second, and then ever more rarely up to 10 s", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, 0, EVEN);
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 9; i++) {
      const dueAtMs = schedule.nextDueAtMs()!;
      waits.push(Math.round(dueAtMs - nowMs));
      nowMs = dueAtMs;
      expect(schedule.takeDue(nowMs - 1, 10)).toEqual([]);
      expect(schedule.takeDue(nowMs, 10)).toEqual([1]);
      schedule.probeFailed(1, nowMs, EVEN);
    }
    expect(waits).toEqual([500, 1_000, 1_500, 2_250, 3_375, 5_063, 7_594, 10_000, 10_000]);
  });

  it("gives an endpoint out once, until its probe has ended", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, 0, EVEN);
    expect(schedule.takeDue(500, 10)).toEqual([1]);
    expect(schedule.takeDue(60_000, 10)).toEqual([]);
    expect(schedule.nextDueAtMs()).toBeNull();
  });

  it("gives out no more than asked for", () => {
    const schedule = new EjectionSchedule();
    for (const row of [1, 2, 3]) schedule.eject(row, 0, EVEN);
    expect(schedule.takeDue(500, 2)).toEqual([1, 2]);
    expect(schedule.takeDue(500, 2)).toEqual([3]);
  });

  it("keeps the schedule of an endpoint that is reported twice", () => {
    const schedule = new EjectionSchedule();
    expect(schedule.eject(1, 0, EVEN)).toBe(true);
    expect(schedule.eject(1, 400, EVEN)).toBe(false);
    expect(schedule.nextDueAtMs()).toBe(500);
  });

  it("begins anew for an endpoint that was readmitted", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, 0, EVEN);
    schedule.takeDue(500, 1);
    schedule.probeFailed(1, 500, EVEN);
    expect(schedule.remove(1)).toBe(true);
    expect(schedule.remove(1)).toBe(false);
    expect(schedule.size).toBe(0);
    schedule.eject(1, 10_000, EVEN);
    expect(schedule.nextDueAtMs()).toBe(10_500);
  });

  it("ignores the probe of an endpoint that is gone", () => {
    const schedule = new EjectionSchedule();
    schedule.probeFailed(1, 0, EVEN);
    expect(schedule.has(1)).toBe(false);
  });

  it("moves every time by a tenth at most", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        const schedule = new EjectionSchedule();
        schedule.eject(1, 0, random);
        expect(Math.abs(schedule.nextDueAtMs()! - 500)).toBeLessThanOrEqual(50.001);
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultEjectionTimes, EjectionSchedule } from "./ejection-schedule.ts";

const how = { times: defaultEjectionTimes, cause: "refused", retryAfterMs: 0 };
/** In the middle of the jitter: times are exact. */
const EVEN = 0.5;

describe("EjectionSchedule", () => {
  it("probes after half a second, a second, and then ever more rarely up to 10 s", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, how, 0, EVEN);
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
    schedule.eject(1, how, 0, EVEN);
    expect(schedule.takeDue(500, 10)).toEqual([1]);
    expect(schedule.takeDue(60_000, 10)).toEqual([]);
    expect(schedule.nextDueAtMs()).toBeNull();
  });

  it("gives out no more than asked for", () => {
    const schedule = new EjectionSchedule();
    for (const row of [1, 2, 3]) schedule.eject(row, how, 0, EVEN);
    expect(schedule.takeDue(500, 2)).toEqual([1, 2]);
    expect(schedule.takeDue(500, 2)).toEqual([3]);
  });

  it("keeps the schedule of an endpoint that is reported twice", () => {
    const schedule = new EjectionSchedule();
    expect(schedule.eject(1, how, 0, EVEN)).toBe(true);
    expect(schedule.eject(1, how, 400, EVEN)).toBe(false);
    expect(schedule.nextDueAtMs()).toBe(500);
  });

  it("begins anew for an endpoint that has been back for a minute", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, how, 0, EVEN);
    schedule.takeDue(500, 1);
    schedule.probeFailed(1, 500, EVEN);
    expect(schedule.back(1, 1_000)).toBe(true);
    expect(schedule.back(1, 1_000)).toBe(false);
    expect(schedule.size).toBe(0);
    schedule.eject(1, how, 61_000, EVEN);
    expect(schedule.nextDueAtMs()).toBe(61_500);
  });

  it("keeps an endpoint out for longer each time that it comes and goes", () => {
    const schedule = new EjectionSchedule();
    const outMs: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 4; i++) {
      schedule.eject(1, how, nowMs, EVEN);
      outMs.push(schedule.nextDueAtMs()! - nowMs);
      nowMs = schedule.nextDueAtMs()!;
      schedule.back(1, nowMs);
      nowMs += 1_000;
    }
    expect(outMs).toEqual([500, 5_000, 10_000, 10_000]);
  });

  it("has an endpoint that comes and goes be there twice, a second apart, before it is back", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, how, 0, EVEN);
    schedule.takeDue(500, 1);
    expect(schedule.probeSucceeded(1, 500, EVEN)).toBe(true);
    schedule.back(1, 500);
    schedule.eject(1, how, 1_000, EVEN);
    expect(schedule.takeDue(6_000, 1)).toEqual([1]);
    expect(schedule.probeSucceeded(1, 6_000, EVEN)).toBe(false);
    expect(schedule.takeDue(7_000, 1)).toEqual([1]);
    schedule.probeFailed(1, 7_000, EVEN);
    expect(schedule.takeDue(8_000, 1)).toEqual([1]);
    expect(schedule.probeSucceeded(1, 8_000, EVEN)).toBe(false);
    expect(schedule.takeDue(9_000, 1)).toEqual([1]);
    expect(schedule.probeSucceeded(1, 9_000, EVEN)).toBe(true);
  });

  it("leaves an endpoint alone for as long as it asked for, up to a minute", () => {
    const schedule = new EjectionSchedule();
    schedule.eject(1, { ...how, retryAfterMs: 30_000 }, 0, EVEN);
    expect(schedule.nextDueAtMs()).toBe(30_000);
    schedule.eject(2, { ...how, retryAfterMs: 3_600_000 }, 0, EVEN);
    schedule.remove(1);
    expect(schedule.nextDueAtMs()).toBe(60_000);
  });

  it("forgets the past of an endpoint that is gone, and what is long ago", () => {
    const schedule = new EjectionSchedule();
    for (const row of [1, 2]) {
      schedule.eject(row, how, 0, EVEN);
      schedule.back(row, 500);
    }
    schedule.remove(1);
    schedule.forgetPast(60_500);
    for (const row of [1, 2]) schedule.eject(row, how, 60_500, EVEN);
    expect(schedule.takeDue(61_000, 10)).toEqual([1, 2]);
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
        schedule.eject(1, how, 0, random);
        expect(Math.abs(schedule.nextDueAtMs()! - 500)).toBeLessThanOrEqual(50.001);
      }),
    );
  });
});

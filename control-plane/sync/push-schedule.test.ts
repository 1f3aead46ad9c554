import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { PushSchedule } from "./push-schedule.ts";

function scheduleWith(isQuiet = () => true) {
  const clock = new ManualClock();
  const pushedAtMs: number[] = [];
  const startMs = clock.monotonicMs();
  const push = () => pushedAtMs.push(clock.monotonicMs() - startMs);
  const schedule = new PushSchedule({ clock, coalesceMs: 50, coalesceMaxMs: 250, isQuiet, push });
  return { clock, pushedAtMs, schedule };
}

describe("PushSchedule", () => {
  it("pushes the first change at once, without a timer", () => {
    const { clock, pushedAtMs, schedule } = scheduleWith();
    schedule.changed();
    expect(pushedAtMs).toEqual([0]);
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("pushes the followers together, 50 ms after the last", () => {
    const { clock, pushedAtMs, schedule } = scheduleWith();
    schedule.changed();
    for (let i = 0; i < 3; i++) {
      clock.advance(10);
      schedule.changed();
    }
    clock.advance(1_000);
    expect(pushedAtMs).toEqual([0, 80]);
  });

  it("pushes an unbroken stream of changes every 250 ms", () => {
    const { clock, pushedAtMs, schedule } = scheduleWith();
    for (let i = 0; i < 100; i++) {
      schedule.changed();
      clock.advance(10);
    }
    // The first at 0; the next waits from 10 on, and so forth.
    expect(pushedAtMs).toEqual([0, 260, 510, 760]);
  });

  it("lets a change wait while a node that keeps up has not answered, but not for ever", () => {
    const { clock, pushedAtMs, schedule } = scheduleWith(() => false);
    schedule.changed();
    expect(pushedAtMs).toEqual([]);
    expect(schedule.isWaiting).toBe(true);
    clock.advance(50);
    expect(pushedAtMs).toEqual([50]);
  });

  it("pushes nothing after it is closed", () => {
    const { clock, pushedAtMs, schedule } = scheduleWith(() => false);
    schedule.changed();
    schedule.close();
    clock.advance(1_000);
    expect(pushedAtMs).toEqual([]);
  });
});

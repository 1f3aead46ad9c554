import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Deadline, DeadlineWheel, tickMs } from "./deadline-wheel.ts";

function setup() {
  const defects: unknown[] = [];
  const wheel = new DeadlineWheel((error) => defects.push(error));
  const passed: number[] = [];
  const deadline = new Deadline(wheel, { onDeadline: () => passed.push(wheel.now) });
  const turn = (ticks: number) => {
    for (let i = 0; i < ticks; i++) wheel.tick();
  };
  return { wheel, deadline, passed, turn, defects };
}

describe("Deadline", () => {
  it.each([1, 50, 51, 1_000, 60_000, 1_000_000])("passes once, after %i ms and at most two ticks more", (delayMs) => {
    const { deadline, passed, turn } = setup();
    deadline.set(delayMs);
    turn(Math.ceil(delayMs / tickMs) + 10_000);
    expect(passed).toHaveLength(1);
    expect(passed[0]! * tickMs).toBeGreaterThanOrEqual(delayMs);
    expect(passed[0]! * tickMs).toBeLessThanOrEqual(delayMs + 2 * tickMs);
  });

  it("does not pass once cleared", () => {
    const { deadline, passed, turn } = setup();
    deadline.set(100);
    turn(1);
    deadline.clear();
    turn(10_000);
    expect(passed).toEqual([]);
  });

  it("never passes for an owner that is gone", () => {
    const { deadline, passed, turn } = setup();
    deadline.set(100);
    deadline.release();
    deadline.set(200);
    turn(10_000);
    expect(passed).toEqual([]);
  });

  it("can be set again when it passes", () => {
    const wheel = new DeadlineWheel(() => {});
    const passed: number[] = [];
    const deadline: Deadline = new Deadline(wheel, {
      onDeadline: () => {
        passed.push(wheel.now);
        if (passed.length < 3) deadline.set(100);
      },
    });
    deadline.set(100);
    for (let i = 0; i < 100; i++) wheel.tick();
    expect(passed).toEqual([3, 6, 9]);
  });

  it("does not keep another owner's deadline from passing when one throws", () => {
    const { wheel, deadline, passed, turn, defects } = setup();
    new Deadline(wheel, {
      onDeadline: () => {
        throw new Error("a defect");
      },
    }).set(100);
    deadline.set(100);
    turn(10);
    expect([passed.length, defects]).toEqual([1, [new Error("a defect")]]);
  });

  it("passes when the last move said, whatever moves came before", () => {
    const move = fc.record({ delayMs: fc.integer({ min: 0, max: 300_000 }), ticks: fc.integer({ min: 0, max: 500 }) });
    fc.assert(
      fc.property(fc.array(move, { minLength: 1, maxLength: 20 }), (moves) => {
        const { wheel, deadline, passed, turn } = setup();
        let dueAt = Number.POSITIVE_INFINITY;
        for (const { delayMs, ticks } of moves) {
          const before = passed.length;
          deadline.set(delayMs);
          dueAt = wheel.now + Math.ceil(delayMs / tickMs) + 1;
          turn(ticks);
          expect(passed.length - before).toBe(dueAt <= wheel.now ? 1 : 0);
          if (dueAt <= wheel.now) expect(passed.at(-1)).toBe(dueAt);
        }
      }),
    );
  });
});

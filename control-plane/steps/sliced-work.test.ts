import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { SlicedWork } from "./sliced-work.ts";

/** Work of so many steps, each of which takes 1 ms by the clock; and what has come of it. */
function workOf(stepCount: number, sliceMs: number) {
  const clock = new ManualClock();
  const seen = { steps: 0, done: 0 };
  const stepping = { monotonicMs: () => clock.monotonicMs() + seen.steps, after: clock.after.bind(clock) };
  const work = new SlicedWork({ clock: stepping, sliceMs });
  function* steps(): Generator<void, void> {
    for (let i = 0; i < stepCount; i++) {
      seen.steps++;
      yield;
    }
  }
  work.begin(steps(), () => seen.done++);
  return { clock, work, seen };
}

describe("SlicedWork", () => {
  it("does at once what fits into a slice, and tells nobody", () => {
    const { work, seen } = workOf(3, 10);
    expect({ ...seen, isUnderWay: work.isUnderWay }).toEqual({ steps: 3, done: 0, isUnderWay: false });
  });

  it("takes the rest in turns of its own, a slice in each, and tells when it is done", () => {
    const { clock, work, seen } = workOf(10, 4);
    const stepsAfterTurns = [seen.steps];
    while (work.isUnderWay) {
      expect(seen.done).toBe(0);
      // Whatever falls due at the same time has its turn.
      let isAnotherServed = false;
      clock.after(0, () => {
        isAnotherServed = true;
      });
      clock.advance(0.5);
      expect(isAnotherServed).toBe(true);
      stepsAfterTurns.push(seen.steps);
    }
    expect(stepsAfterTurns[0]).toBe(4);
    expect(seen).toEqual({ steps: 10, done: 1 });
  });

  it("takes one step at least", () => {
    expect(workOf(5, 0).seen.steps).toBe(1);
  });

  it("finishes in one go where that is asked for, and does nothing after that or after it was closed", () => {
    const finished = workOf(10, 4);
    finished.work.finish();
    expect(finished.seen).toEqual({ steps: 10, done: 1 });
    finished.work.finish();
    finished.clock.advance(10);
    expect(finished.seen).toEqual({ steps: 10, done: 1 });
    const closed = workOf(10, 4);
    closed.work.close();
    closed.clock.advance(10);
    expect({ ...closed.seen, isUnderWay: closed.work.isUnderWay }).toEqual({ steps: 4, done: 0, isUnderWay: false });
  });
});

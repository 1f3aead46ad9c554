import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { HelloAdmission } from "./hello-admission.ts";

describe("HelloAdmission", () => {
  it("lets a second's worth in at once, and the others one after the other, each at a time of its own", () => {
    const clock = new ManualClock();
    const admission = new HelloAdmission(clock, 100);
    const first = Array.from({ length: 130 }, () => admission.admit());
    expect(first.filter(({ ok }) => ok)).toHaveLength(100);
    const waitsMs = first.flatMap((admitted) => (admitted.ok ? [] : [admitted.retryAfterMs]));
    expect(waitsMs).toEqual(Array.from({ length: 30 }, (_, i) => 10 * (i + 1)));
  });

  it("has room for everybody at the time that it named", () => {
    const clock = new ManualClock();
    const admission = new HelloAdmission(clock, 200);
    const dueAtMs: number[] = [];
    for (let node = 0; node < 1_000; node++) {
      const admitted = admission.admit();
      if (!admitted.ok) dueAtMs.push(clock.monotonicMs() + admitted.retryAfterMs);
    }
    expect(dueAtMs).toHaveLength(800);
    for (const atMs of dueAtMs) {
      clock.advance(atMs - clock.monotonicMs());
      expect(admission.admit()).toEqual({ ok: true });
    }
  });

  it("spreads those over a minute that are more than a minute has room for", () => {
    const clock = new ManualClock();
    const admission = new HelloAdmission(clock, 10);
    const rush = Array.from({ length: 6_000 }, () => admission.admit());
    const waitsMs = rush.flatMap((admitted) => (admitted.ok ? [] : [admitted.retryAfterMs]));
    const perWait = Map.groupBy(waitsMs, (waitMs) => waitMs);
    expect(Math.max(...waitsMs)).toBeLessThanOrEqual(60_000);
    expect(Math.max(...[...perWait.values()].map(({ length }) => length))).toBe(10);
  });

  it("sends nobody away for more than a minute, and forgets a rush that is over", () => {
    const clock = new ManualClock();
    const admission = new HelloAdmission(clock, 1);
    const rush = Array.from({ length: 1_000 }, () => admission.admit());
    expect(Math.max(...rush.map((admitted) => (admitted.ok ? 0 : admitted.retryAfterMs)))).toBe(60_000);
    clock.advance(3_600_000);
    expect(admission.admit()).toEqual({ ok: true });
    expect(admission.admit()).toEqual({ ok: false, retryAfterMs: 1_000 });
  });
});

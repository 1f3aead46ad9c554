import { describe, expect, it } from "vitest";
import { ReconnectPlan } from "./reconnect-plan.ts";

function planOf(controlPlanes: readonly string[], random = () => 0.5): ReconnectPlan {
  return new ReconnectPlan({ controlPlanes, random, stableMs: 5_000, firstMaxMs: 200, maxMs: 10_000 });
}

const failed = { nowMs: 0, openMs: null, retryAfterMs: 0 };

describe("ReconnectPlan", () => {
  it("tries each control plane once a round, at once, and waits longer after each round", () => {
    const plan = planOf(["a", "b"]);
    const delays: number[] = [];
    const tried: (string | undefined)[] = [];
    for (let i = 0; i < 8; i++) {
      tried.push(plan.next());
      delays.push(plan.delayMs(failed));
    }
    for (let round = 0; round < 4; round++) expect(tried.slice(2 * round, 2 * round + 2).sort()).toEqual(["a", "b"]);
    expect(delays).toEqual([0, 100, 0, 200, 0, 400, 0, 800]);
  });

  it("begins anew after a stream that had lived", () => {
    const plan = planOf(["a", "b"]);
    for (let i = 0; i < 8; i++) {
      plan.next();
      plan.delayMs(failed);
    }
    plan.next();
    expect(plan.delayMs({ ...failed, openMs: 5_000 })).toBe(100);
  });

  it("waits as long as it was asked to, and a random time on top", () => {
    const spread = [0, 0.5, 0.999].map((random) => {
      const plan = planOf(["a"], () => random);
      plan.next();
      return plan.delayMs({ nowMs: 1_000, openMs: 1, retryAfterMs: 3_000 });
    });
    expect(spread).toEqual([3_000, 3_100, 3_199.8]);
  });

  it("asks another control plane at once, and none of the round before the last of them has room", () => {
    const plan = planOf(["a", "b"]);
    plan.next();
    expect(plan.delayMs({ ...failed, retryAfterMs: 3_000 })).toBe(0);
    plan.next();
    expect(plan.delayMs({ ...failed, nowMs: 1_000, retryAfterMs: 500 })).toBe(2_100);
  });

  it("is kept away by nobody for more than a minute", () => {
    const plan = planOf(["a"], () => 0);
    plan.next();
    expect(plan.delayMs({ ...failed, retryAfterMs: 1e12 })).toBe(60_000);
  });
});

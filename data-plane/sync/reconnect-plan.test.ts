import { describe, expect, it } from "vitest";
import { ReconnectPlan, type StreamOutcome } from "./reconnect-plan.ts";

function planOf(controlPlanes: readonly string[], random = () => 0.5): ReconnectPlan {
  const times = { stableMs: 5_000, absentMs: 1_000, firstMaxMs: 200, maxMs: 10_000 };
  return new ReconnectPlan({ controlPlanes, random, ...times });
}

const failed = { openMs: null, retryAfterMs: 0, isUnanswered: false };

/** The attempts that come one after the other when each ends as it is said, at once. */
function attempts(plan: ReconnectPlan, count: number, ends: Omit<StreamOutcome, "address" | "nowMs" | "startedAtMs">) {
  let nowMs = 0;
  return Array.from({ length: count }, () => {
    const { address, delayMs } = plan.next(nowMs)!;
    nowMs += delayMs;
    plan.ended({ ...ends, address, nowMs, startedAtMs: nowMs });
    return { address, delayMs };
  });
}

describe("ReconnectPlan", () => {
  it("tries each control plane once a round, at once, and waits longer after each round", () => {
    const made = attempts(planOf(["a", "b"]), 8, failed);
    for (let round = 0; round < 4; round++)
      expect(new Set(made.slice(2 * round, 2 * round + 2).map(({ address }) => address))).toEqual(new Set(["a", "b"]));
    expect(made.map(({ delayMs }) => delayMs)).toEqual([0, 0, 100, 0, 200, 0, 400, 0]);
  });

  it("begins anew after a stream that had lived, with all of them", () => {
    const plan = planOf(["a", "b"]);
    attempts(plan, 8, failed);
    plan.ended({ ...failed, address: "a", nowMs: 9_000, startedAtMs: 0, openMs: 5_000 });
    expect(plan.next(9_000)!.delayMs).toBe(100);
    plan.ended({ ...failed, address: plan.next(9_100)!.address, nowMs: 9_100, startedAtMs: 9_100 });
    expect(plan.next(9_100)!.delayMs).toBe(0);
  });

  it("waits as long as it was asked to, and a random time on top", () => {
    const spread = [0, 0.5, 0.999].map((random) => {
      const plan = planOf(["a"], () => random);
      plan.ended({ ...failed, address: "a", nowMs: 1_000, startedAtMs: 0, openMs: 1, retryAfterMs: 3_000 });
      return plan.next(1_000)!.delayMs;
    });
    expect(spread).toEqual([3_000, 3_100, 3_199.8]);
  });

  it("asks another control plane at once, and each of those that have no room when it said", () => {
    const plan = planOf(["a", "b"]);
    const [first, second] = ["a", "b"];
    plan.ended({ ...failed, address: first!, nowMs: 0, startedAtMs: 0, retryAfterMs: 3_000 });
    expect(plan.next(0)).toEqual({ address: second, delayMs: 0 });
    plan.ended({ ...failed, address: second!, nowMs: 1_000, startedAtMs: 0, retryAfterMs: 500 });
    expect(plan.next(1_000)).toEqual({ address: second, delayMs: 600 });
  });

  it("does not forget who asked to be left alone when the stream to another ends that had lived", () => {
    const plan = planOf(["a", "b"]);
    plan.ended({ ...failed, address: "a", nowMs: 0, startedAtMs: 0, openMs: 10, retryAfterMs: 60_000 });
    plan.ended({ ...failed, address: "b", nowMs: 6_000, startedAtMs: 0, openMs: 6_000 });
    expect(plan.next(6_000)).toEqual({ address: "b", delayMs: 100 });
    plan.ended({ ...failed, address: "b", nowMs: 6_100, startedAtMs: 6_100, retryAfterMs: 60_000 });
    expect(plan.next(6_100)).toEqual({ address: "a", delayMs: 60_100 - 6_100 });
  });

  it("is kept away by nobody for more than a minute", () => {
    const plan = planOf(["a"], () => 0);
    plan.ended({ ...failed, address: "a", nowMs: 0, startedAtMs: 0, retryAfterMs: 1e12 });
    expect(plan.next(0)!.delayMs).toBe(60_000);
  });

  it("looks for one that is not there at a steady pace, which is no pause after a long attempt", () => {
    const paces = [0, 0.5, 0.999].map((random) =>
      attempts(
        planOf(["a"], () => random),
        100,
        { ...failed, isUnanswered: true },
      ).at(-1),
    );
    expect(paces.map((attempt) => Math.round(attempt!.delayMs))).toEqual([800, 900, 1_000]);
    const plan = planOf(["a"]);
    plan.ended({ ...failed, address: "a", nowMs: 5_000, startedAtMs: 0, isUnanswered: true });
    expect(plan.next(5_000)!.delayMs).toBe(100);
  });

  it("goes on looking for one that is not there while another has no room", () => {
    const plan = planOf(["a", "b"]);
    plan.ended({ ...failed, address: "b", nowMs: 0, startedAtMs: 0, retryAfterMs: 2_000 });
    const tried: string[] = [];
    let nowMs = 0;
    while (tried.at(-1) !== "b") {
      const { address, delayMs } = plan.next(nowMs)!;
      nowMs += delayMs;
      tried.push(address);
      plan.ended({ ...failed, address, nowMs, startedAtMs: nowMs, isUnanswered: true });
    }
    expect(tried).toEqual(["a", "a", "a", "b"]);
  });
});

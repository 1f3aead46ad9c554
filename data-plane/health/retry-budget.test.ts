import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RetryBudget } from "./retry-budget.ts";

const config = { ratio: 0.2, minPerSecond: 10 };

function takeAll(budget: RetryBudget, nowMs: number): number {
  let count = 0;
  while (count < 10_000 && budget.take(nowMs)) count++;
  return count;
}

describe("RetryBudget", () => {
  it("has ten seconds' worth of its least from the start, so that little traffic is not left without", () => {
    expect(takeAll(new RetryBudget(config, 1), 0)).toBe(100);
  });

  it("gives each thread its share of that", () => {
    expect(takeAll(new RetryBudget(config, 1 / 4), 0)).toBe(25);
  });

  it("grows by a fifth of the requests, and is spent once", () => {
    const budget = new RetryBudget(config, 1);
    for (let i = 0; i < 1_000; i++) budget.request(0);
    expect(takeAll(budget, 0)).toBe(300);
    expect(takeAll(budget, 4_999)).toBe(0);
  });

  it("forgets within ten seconds what was not spent, and what was", () => {
    const budget = new RetryBudget(config, 1);
    for (let i = 0; i < 10_000; i++) budget.request(0);
    expect(takeAll(budget, 10_001)).toBe(100);
    expect(takeAll(budget, 30_000)).toBe(100);
  });

  it("can be none at all", () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 0 }, 1);
    for (let i = 0; i < 1_000; i++) budget.request(0);
    expect(budget.take(0)).toBe(false);
  });

  it("goes by what it is told of last", () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 0 }, 1);
    for (let i = 0; i < 100; i++) budget.request(0);
    budget.configure({ ratio: 1, minPerSecond: 0 });
    expect(takeAll(budget, 0)).toBe(100);
  });

  it("never allows more than the ratio of all requests and its least for each ten seconds begun", () => {
    const steps = fc.array(fc.tuple(fc.nat(3_000), fc.nat(50), fc.nat(50)), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (list) => {
        const budget = new RetryBudget(config, 1);
        let nowMs = 0;
        let requests = 0;
        let taken = 0;
        for (const [passMs, requestCount, wanted] of list) {
          nowMs += passMs;
          for (let i = 0; i < requestCount; i++) budget.request(nowMs);
          requests += requestCount;
          for (let i = 0; i < wanted; i++) if (budget.take(nowMs)) taken++;
          expect(taken).toBeLessThanOrEqual(0.2 * requests + 100 * (1 + Math.floor(nowMs / 5_000)));
        }
      }),
    );
  });
});

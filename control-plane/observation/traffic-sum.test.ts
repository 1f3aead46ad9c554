import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latencyBucket, latencyBucketCount, latencyBucketStartMs } from "../../proto/latency-buckets.ts";
import { latencyQuantileMs, TrafficSum } from "./traffic-sum.ts";
import type { EndpointTrafficView, RecentTraffic } from "./traffic-views.ts";

const noCounts = { requests: 0, answers: 0, clientErrors: 0, serverErrors: 0, losses: 0, ejections: 0 };

function view(recent: Partial<RecentTraffic> | null, init: Partial<EndpointTrafficView> = {}): EndpointTrafficView {
  const quiet = { intervalMs: 1_000, requests: 0, errors: 0, latencyBuckets: [], latencyCounts: [] };
  return {
    ...{ targetId: "t", address: "1.1.1.1:80", counts: noCounts, inFlight: 0, ejectionsLastMinute: 0 },
    recent: recent === null ? null : { ...quiet, ...recent },
    ...init,
  };
}

function figuresOf(...views: readonly EndpointTrafficView[]) {
  const sum = new TrafficSum();
  for (const each of views) sum.add(each);
  return sum.figures();
}

/** What a node tells of answers that took so long. */
function told(timesMs: readonly number[], intervalMs = 1_000): EndpointTrafficView {
  const counts = new Map<number, number>();
  for (const ms of timesMs) counts.set(latencyBucket(ms), (counts.get(latencyBucket(ms)) ?? 0) + 1);
  return view({ intervalMs, latencyBuckets: [...counts.keys()], latencyCounts: [...counts.values()] });
}

/** The time that this share of the times is at most. */
function exactQuantile(timesMs: readonly number[], ratio: number): number {
  const sorted = timesMs.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * ratio - 1e-9) - 1)]!;
}

describe("TrafficSum", () => {
  const times = fc.array(
    fc.oneof(fc.double({ min: 0, max: 50_000, noNaN: true }), fc.double({ min: 0, max: 3, noNaN: true })),
    {
      minLength: 1,
      maxLength: 200,
    },
  );

  it("tells quantiles of all answers together, to within the bucket that the exact one lies in", () => {
    fc.assert(
      fc.property(fc.array(times, { minLength: 1, maxLength: 4 }), (byNode) => {
        const { p50Ms, p99Ms } = figuresOf(...byNode.map((each) => told(each)));
        for (const [ratio, toldMs] of [
          [0.5, p50Ms],
          [0.99, p99Ms],
        ] as const) {
          const bucket = latencyBucket(exactQuantile(byNode.flat(), ratio));
          expect(toldMs).toBeGreaterThanOrEqual(latencyBucketStartMs(bucket));
          expect(toldMs).toBeLessThanOrEqual(latencyBucketStartMs(bucket + 1));
        }
      }),
    );
  });

  it("weighs what nodes tell by how long they took to count it", () => {
    // 100 a second that take 10 ms, and 10 a second that take 1 s, counted ten times as long.
    const fast = told(Array.from({ length: 100 }, () => 10));
    const slow = told(
      Array.from({ length: 100 }, () => 1_000),
      10_000,
    );
    const { p50Ms, p99Ms } = figuresOf(fast, slow);
    expect([latencyBucket(p50Ms!), latencyBucket(p99Ms!)]).toEqual([latencyBucket(10), latencyBucket(1_000)]);
  });

  it("adds up rates, counts and what is under way", () => {
    const counts = { requests: 1, answers: 2, clientErrors: 3, serverErrors: 4, losses: 5, ejections: 6 };
    const busy = view(
      { intervalMs: 2_000, requests: 100, errors: 10 },
      { counts, inFlight: 7, ejectionsLastMinute: 2 },
    );
    const other = view({ intervalMs: 500, requests: 25, errors: 0 }, { counts, inFlight: 1, ejectionsLastMinute: 1 });
    const quiet = view(null, { counts });
    expect(figuresOf(busy, other, quiet)).toEqual({
      counts: { requests: 3, answers: 6, clientErrors: 9, serverErrors: 12, losses: 15, ejections: 18 },
      requestsPerSecond: 100,
      errorsPerSecond: 5,
      errorRatio: 0.05,
      p50Ms: null,
      p99Ms: null,
      inFlight: 8,
      ejectionsLastMinute: 3,
    });
  });

  it("counts no further than can be counted", () => {
    const max = Number.MAX_SAFE_INTEGER;
    const counts = { requests: max, answers: 1, clientErrors: max, serverErrors: max, losses: max, ejections: max };
    const figures = figuresOf(...Array(2_000).fill(view(null, { counts, ejectionsLastMinute: max })));
    expect(figures.counts).toEqual({ ...counts, answers: 2_000 });
    expect(figures.ejectionsLastMinute).toBe(max);
  });

  it("says that all fail where more failed than were sent meanwhile", () => {
    expect(figuresOf(view({ requests: 0, errors: 3 })).errorRatio).toBe(1);
    expect(figuresOf(view({ requests: 1, errors: 3 })).errorRatio).toBe(1);
    expect(figuresOf().errorRatio).toBe(0);
  });
});

describe("latencyQuantileMs", () => {
  it.each([
    { counts: { 0: 1 }, ratio: 0.5, want: 0.016 },
    { counts: { 0: 2, 79: 2 }, ratio: 0.5, want: 0.032 },
    { counts: { 0: 2, 79: 2 }, ratio: 1, want: 67_108.864 },
  ])("of $counts at $ratio is $want ms", ({ counts, ratio, want }) => {
    const all = new Float64Array(latencyBucketCount);
    for (const [bucket, count] of Object.entries(counts)) all[Number(bucket)] = count;
    expect(latencyQuantileMs(all, ratio)).toBeCloseTo(want, 6);
  });
});

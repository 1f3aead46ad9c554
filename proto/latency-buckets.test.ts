import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latencyBucket, latencyBucketCount, latencyBucketStartMs } from "./latency-buckets.ts";

describe("latencyBucket", () => {
  it("is the bucket that a time lies in, at most a quarter as wide as the time or 32 us", () => {
    const times = fc.oneof(fc.double({ min: 0, max: 58_000, noNaN: true }), fc.double({ min: 0, max: 2, noNaN: true }));
    fc.assert(
      fc.property(times, (ms) => {
        const bucket = latencyBucket(ms);
        const [start, end] = [latencyBucketStartMs(bucket), latencyBucketStartMs(bucket + 1)];
        expect(start).toBeLessThanOrEqual(ms);
        expect(end).toBeGreaterThan(ms);
        expect(end - start).toBeLessThanOrEqual(Math.max(start / 4, 0.032) + 1e-9);
      }),
    );
  });

  it("begins each bucket where the one before ends", () => {
    const starts = Array.from({ length: latencyBucketCount }, (_, bucket) => latencyBucketStartMs(bucket));
    expect(starts.map(latencyBucket)).toEqual(starts.map((_, bucket) => bucket));
  });

  it.each([
    [-1, 0],
    [0, 0],
    [58_720, 78],
    [58_721, 79],
    [1e12, 79],
    [Number.NaN, 79],
  ])("of %d ms is %i", (ms, bucket) => {
    expect(latencyBucket(ms)).toBe(bucket);
  });
});

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { toldCount, toldDurationMs, toldText, toldTimeMs } from "./told-values.ts";

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);

describe("toldCount", () => {
  it.each([
    { told: 0n, want: 0 },
    { told: 7n, want: 7 },
    { told: -1n, want: 0 },
    { told: int64Min, want: 0 },
    { told: 2n ** 53n, want: 2 ** 53 - 1 },
    { told: int64Max, want: 2 ** 53 - 1 },
  ])("takes $told for $want", ({ told, want }) => {
    expect(toldCount(told)).toBe(want);
  });
});

describe("toldDurationMs", () => {
  it.each([
    { seconds: 0n, nanos: 16_098_000, want: 16.098 },
    { seconds: 2n, nanos: 1_499, want: 2_000.001 },
    { seconds: 0n, nanos: 499, want: 0 },
    { seconds: 1n, nanos: -1_000_000_000, want: 0 },
    { seconds: -1n, nanos: 0, want: 0 },
    { seconds: int64Min, nanos: -(2 ** 31), want: 0 },
    { seconds: 86_400n, nanos: 1_000, want: 86_400_000 },
    { seconds: int64Max, nanos: 2 ** 31 - 1, want: 86_400_000 },
  ])("takes $seconds s and $nanos ns for $want ms", ({ seconds, nanos, want }) => {
    expect(toldDurationMs({ $typeName: "google.protobuf.Duration", seconds, nanos })).toBe(want);
  });

  it("takes none for 0", () => {
    expect(toldDurationMs(undefined)).toBe(0);
  });
});

describe("toldTimeMs", () => {
  it("ends with the year 9999", () => {
    const times = [-1n, 1_700_000_000_123n, int64Max].map((told) => new Date(toldTimeMs(told)).toISOString());
    expect(times).toEqual(["1970-01-01T00:00:00.000Z", "2023-11-14T22:13:20.123Z", "9999-12-31T23:59:59.999Z"]);
  });
});

describe("toldText", () => {
  it.each([
    { told: "short", want: "short" },
    { told: "longer than that", want: "longer t" },
    { told: "1234567😀", want: "1234567\ufffd" },
  ])("makes $want of $told", ({ told, want }) => {
    expect(toldText(told, 8)).toBe(want);
  });

  it("keeps nothing of what it leaves out", () => {
    const collect = garbageCollector();
    collect();
    const before = process.memoryUsage().heapUsed;
    // As texts of messages come.
    const kept = Array.from({ length: 100 }, () => toldText(Buffer.alloc(1_000_000, "x").toString(), 500));
    collect();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000);
    expect(kept).toHaveLength(100);
  });
});

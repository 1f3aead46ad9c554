import { existsSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";

const isLinux = existsSync("/proc/thread-self/schedstat");

describe.skipIf(!isLinux)("leaveOutWaitsForCore (Linux only)", () => {
  it("counts what the thread does and what it waits for others, and no more than the wall clock", async () => {
    const { leaveOutWaitsForCore, threadTimes } = await import("./clock-with-a-core.ts");
    const wallMs = performance.now.bind(performance);
    onTestFinished(() => void Reflect.deleteProperty(performance, "now"));
    leaveOutWaitsForCore();
    const began = { wallMs: wallMs(), ownMs: performance.now(), ...threadTimes() };
    while (threadTimes().ranMs - began.ranMs < 50);
    const workedMs = performance.now() - began.ownMs;
    expect(workedMs).toBeGreaterThan(49);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    const ownMs = performance.now() - began.ownMs;
    expect(ownMs - workedMs).toBeGreaterThan(45);
    expect(ownMs).toBeLessThan(wallMs() - began.wallMs + 1);
    expect(threadTimes().turnCount).toBeGreaterThan(began.turnCount);
  });
});

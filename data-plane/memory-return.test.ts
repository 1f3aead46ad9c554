import { describe, expect, it } from "vitest";
import { collectGarbage, MemoryReturn, spareHeapBytes } from "./memory-return.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

function rig(spareMb: number) {
  const timers = new FakeTimers();
  const memory = { spareMb, collections: 0 };
  const returning = new MemoryReturn({
    timers,
    spareBytes: () => memory.spareMb * 1024 * 1024,
    collect: () => memory.collections++,
  });
  return { timers, memory, returning };
}

describe("MemoryReturn", () => {
  it("collects once, a second after the last of several snapshots", async () => {
    const { timers, memory, returning } = rig(100);
    for (let i = 0; i < 5; i++) {
      returning.applied();
      await timers.pass(999);
    }
    expect(memory.collections).toBe(0);
    await timers.pass(1);
    expect(memory.collections).toBe(1);
    await timers.pass(60_000);
    expect(memory.collections).toBe(1);
  });

  it("leaves a heap alone that has little to spare by then", async () => {
    const { timers, memory, returning } = rig(100);
    returning.applied();
    memory.spareMb = 20;
    await timers.pass(10_000);
    expect(memory.collections).toBe(0);
  });

  it("does nothing once closed", async () => {
    const { timers, memory, returning } = rig(100);
    returning.applied();
    returning.close();
    await timers.pass(10_000);
    expect(memory.collections).toBe(0);
  });
});

describe("collectGarbage", () => {
  it("frees what nothing refers to, and leaves no function behind", async () => {
    let garbage: object[] | null = Array.from({ length: 1_000 }, (_, i) => ({ i }));
    const first = new WeakRef(garbage[0]!);
    garbage = null;
    // A WeakRef holds on to its target until the turn in which it was made has ended.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(first.deref()).toBeUndefined();
    expect(globalThis).not.toHaveProperty("gc");
  });
});

describe("spareHeapBytes", () => {
  it("counts buffers that are garbage", () => {
    const before = spareHeapBytes();
    const buffers = Array.from({ length: 64 }, () => new ArrayBuffer(1024 * 1024));
    expect(buffers).toHaveLength(64);
    expect(spareHeapBytes() - before).toBeGreaterThan(32 * 1024 * 1024);
  });
});

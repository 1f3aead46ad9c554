import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { FewPerTurn } from "./few-per-turn.ts";

const item = <T>(value: T) => ({ value, isQueued: false });

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("FewPerTurn", () => {
  it("does at once what a turn has room for, and the rest in the order it came", async () => {
    const done: number[] = [];
    const few = new FewPerTurn<{ value: number; isQueued: boolean }>(3, ({ value }) => done.push(value));
    for (let i = 0; i < 8; i++) few.add(item(i));
    expect(done).toEqual([0, 1, 2]);
    expect(few.isIdle).toBe(false);
    await turn();
    expect(done).toEqual([0, 1, 2, 3, 4, 5]);
    await turn();
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(few.isIdle).toBe(true);
  });

  it("does one of many, twice as many after a turn that took no longer than it may, and half as many after others", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const done: number[] = [];
    const few = new FewPerTurn<{ value: number; isQueued: boolean }>(8, ({ value }) => done.push(value), 5);
    for (let i = 0; i < 45; i++) few.add(item(i));
    const counts = [done.length];
    for (const tookMs of [5, 5, 5, 5, 6, 6, 6, 6, 5]) {
      const before = done.length;
      vi.advanceTimersByTime(tookMs);
      await turn();
      counts.push(done.length - before);
    }
    expect(counts).toEqual([1, 2, 4, 8, 8, 4, 2, 1, 1, 2]);
    expect(done).toEqual(Array.from({ length: 33 }, (_, i) => i));
    while (!few.isIdle) await turn();
    await turn();
    for (let i = 0; i < 3; i++) few.add(item(i));
    expect(done.length).toBe(46);
  });

  it("keeps the order of many, of which new ones come before all are done, and lets go of those that are", async () => {
    const done: number[] = [];
    const few = new FewPerTurn<{ value: number; isQueued: boolean }>(500, ({ value }) => {
      done.push(value);
      if (value >= 500 && value < 3_000) few.add(item(value + 2_500));
    });
    const one = new WeakRef(item(1_700));
    for (let i = 0; i < 3_000; i++) few.add(i === 1_700 ? one.deref()! : item(i));
    while (done.length < 2_000) await turn();
    expect(few.isIdle).toBe(false);
    setFlagsFromString("--expose-gc");
    runInNewContext("gc")();
    expect(one.deref()).toBeUndefined();
    while (!few.isIdle) await turn();
    expect(done).toEqual(Array.from({ length: 5_500 }, (_, i) => i));
  });

  it("lets nothing overtake what waits, and does once what was added twice meanwhile", async () => {
    const done: string[] = [];
    const few = new FewPerTurn<{ value: string; isQueued: boolean }>(1, ({ value }) => done.push(value));
    const [a, b, c, d] = [item("a"), item("b"), item("c"), item("d")];
    for (const each of [a, b, c, b]) few.add(each);
    await turn();
    few.add(d);
    expect(done).toEqual(["a", "b"]);
    for (let i = 0; i < 2; i++) await turn();
    expect(done).toEqual(["a", "b", "c", "d"]);
    for (const each of [b, b]) few.add(each);
    await turn();
    expect(done).toEqual(["a", "b", "c", "d", "b"]);
  });

  it("has room again in each turn, and does nothing more once it is cleared", async () => {
    const done: number[] = [];
    const few = new FewPerTurn<{ value: number; isQueued: boolean }>(2, ({ value }) => done.push(value));
    for (let i = 0; i < 2; i++) few.add(item(i));
    await turn();
    for (let i = 2; i < 5; i++) few.add(item(i));
    expect(done).toEqual([0, 1, 2, 3]);
    few.clear();
    await turn();
    expect(done).toEqual([0, 1, 2, 3]);
  });
});

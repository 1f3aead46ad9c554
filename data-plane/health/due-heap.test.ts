import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DueHeap } from "./due-heap.ts";

describe("DueHeap", () => {
  it("gives out what is due, the earliest first, and nothing else", () => {
    const times = fc.array(fc.nat(100), { maxLength: 60 });
    fc.assert(
      fc.property(times, fc.nat(100), times, (first, nowMs, then) => {
        const heap = new DueHeap<number>();
        const taken: number[] = [];
        const takeAll = () => {
          for (let item = heap.takeDue(nowMs); item !== null; item = heap.takeDue(nowMs)) taken.push(item);
        };
        for (const atMs of first) heap.push(atMs, atMs);
        takeAll();
        const due = (all: readonly number[]) => all.filter((atMs) => atMs <= nowMs).sort((a, b) => a - b);
        expect(taken).toEqual(due(first));
        for (const atMs of then) heap.push(atMs, atMs);
        takeAll();
        expect(taken).toEqual([...due(first), ...due(then)]);
        const left = [...first, ...then].filter((atMs) => atMs > nowMs);
        expect(heap.size).toBe(left.length);
        expect(heap.nextAtMs).toBe(left.length === 0 ? null : Math.min(...left));
      }),
    );
  });
});

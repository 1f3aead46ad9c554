import { describe, expect, it } from "vitest";
import { inSlices } from "./in-slices.ts";

describe("inSlices", () => {
  it("takes every step, with a turn of the event loop after each slice", async () => {
    const taken: string[] = [];
    function* steps(): Generator<void, string> {
      for (let i = 0; i < 3; i++) {
        taken.push(`step ${i}`);
        setImmediate(() => taken.push("another"));
        yield;
      }
      return "done";
    }
    // No time at all: each step is a slice.
    expect(await inSlices(steps(), 0)).toBe("done");
    expect(taken).toEqual(["step 0", "another", "step 1", "another", "step 2", "another"]);
  });

  it("takes as many steps at once as the slice has time for", async () => {
    let turnCount = 0;
    const counting = setInterval(() => turnCount++, 0);
    function* steps(): Generator<void, number> {
      for (let i = 0; i < 1_000; i++) yield;
      return turnCount;
    }
    expect(await inSlices(steps(), Number.POSITIVE_INFINITY)).toBe(0);
    clearInterval(counting);
  });

  it("rejects with what a step throws", async () => {
    // biome-ignore lint/correctness/useYield: it throws at its first step
    function* steps(): Generator<void, never> {
      throw new Error("a defect");
    }
    await expect(inSlices(steps(), 1)).rejects.toThrow("a defect");
  });
});

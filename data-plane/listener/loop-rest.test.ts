import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { LoopRest } from "./loop-rest.ts";

describe("LoopRest", () => {
  it("rests once in every turn of the loop, from when it is told to until it is told not to", async () => {
    let restCount = 0;
    const rest = new LoopRest(() => restCount++);
    await turn();
    expect(restCount).toBe(0);
    rest.set(true);
    rest.set(true);
    for (let i = 0; i < 10; i++) await turn();
    expect(restCount).toBe(10);
    rest.set(false);
    for (let i = 0; i < 10; i++) await turn();
    expect(restCount).toBe(10);
    rest.set(true);
    await turn();
    expect(restCount).toBe(11);
    rest.set(false);
  });
});

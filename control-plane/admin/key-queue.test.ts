import { describe, expect, it } from "vitest";
import { KeyQueue } from "./key-queue.ts";

describe("KeyQueue", () => {
  it("runs tasks of one key in the order they came, never two at once", async () => {
    const queue = new KeyQueue(100);
    const seen: number[] = [];
    let running = 0;
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        queue.run("k", async () => {
          expect(++running).toBe(1);
          // Later tasks yield less often: without the queue they would overtake.
          for (let turns = i; turns < 50; turns += 10) await Promise.resolve();
          seen.push(i);
          running--;
        }),
      ),
    );
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it("runs tasks of different keys side by side", async () => {
    const queue = new KeyQueue(100);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const held = queue.run("a", () => released);
    expect(await queue.run("b", async () => "done")).toBe("done");
    release();
    await held;
  });

  it("goes on after a task that throws, and tells only its caller", async () => {
    const queue = new KeyQueue(100);
    const failed = queue.run("k", async () => {
      throw new Error("broken");
    });
    const next = queue.run("k", async () => "next");
    await expect(failed).rejects.toThrow("broken");
    expect(await next).toBe("next");
  });

  it("refuses a task beyond its limit, and takes one again when there is room", async () => {
    const queue = new KeyQueue(2);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const held = [queue.run("k", () => released), queue.run("k", async () => undefined)];
    expect(await queue.run("other", async () => "run")).toBeNull();
    release();
    await Promise.all(held);
    expect(await queue.run("other", async () => "run")).toBe("run");
  });
});

import { describe, expect, it } from "vitest";
import { hasFreeDescriptor, watchDescriptors } from "./descriptor-watch.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

describe("watchDescriptors", () => {
  it("tells of a shortage at once, and of its end after a second without one", async () => {
    const timers = new FakeTimers();
    const told: string[] = [];
    let isFree = true;
    const end = watchDescriptors({
      timers,
      hasFree: () => isFree,
      onShort: () => told.push("short"),
      onRecovered: () => told.push("recovered"),
    });
    await timers.pass(5_000);
    expect(told).toEqual([]);
    isFree = false;
    await timers.pass(50);
    expect(told).toEqual(["short"]);
    isFree = true;
    await timers.pass(500);
    isFree = false;
    await timers.pass(50);
    isFree = true;
    await timers.pass(950);
    expect(told).toEqual(["short"]);
    await timers.pass(50);
    expect(told).toEqual(["short", "recovered"]);
    end();
    isFree = false;
    await timers.pass(5_000);
    expect(told).toHaveLength(2);
  });

  it("finds descriptors where there are some", () => {
    expect(hasFreeDescriptor()).toBe(true);
  });
});

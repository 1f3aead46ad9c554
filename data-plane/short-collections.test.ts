import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { collectorFlags, collectYoungObjects, letThreadsCollect, ShortCollections } from "./short-collections.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

function rig() {
  const timers = new FakeTimers();
  const told: boolean[] = [];
  return { timers, told, collections: new ShortCollections({ timers, set: (isShort) => told.push(isShort) }) };
}

describe("ShortCollections", () => {
  it("lasts until some seconds after the last one has ended", async () => {
    const { timers, told, collections } = rig();
    collections.begin();
    collections.begin();
    collections.end();
    await timers.pass(60_000);
    collections.end();
    await timers.pass(4_999);
    collections.begin();
    collections.end();
    await timers.pass(4_999);
    expect(told).toEqual([true]);
    await timers.pass(1);
    expect(told).toEqual([true, false]);
  });

  it("makes way for what wants the usual ones", () => {
    const { told, collections } = rig();
    collections.suspend(() => expect(told).toEqual([]));
    collections.begin();
    collections.suspend(() => expect(told).toEqual([true, false]));
    expect(told).toEqual([true, false, true]);
  });

  it("is back where what wanted the usual ones throws", () => {
    const { told, collections } = rig();
    collections.begin();
    const run = () => {
      throw new Error("no memory");
    };
    expect(() => collections.suspend(run)).toThrow("no memory");
    expect(told).toEqual([true, false, true]);
  });

  it("leaves V8 as it was once closed", async () => {
    const { timers, told, collections } = rig();
    collections.begin();
    collections.end();
    collections.close();
    await timers.pass(10_000);
    expect(told).toEqual([true, false]);
  });
});

describe("collectYoungObjects", () => {
  const module = JSON.stringify(new URL("./short-collections.ts", import.meta.url).href);

  it.each([
    { garbageCount: 100_000, isMany: true },
    { garbageCount: 1_000, isMany: false },
  ])("frees $garbageCount objects that nothing refers to: $isMany", ({ garbageCount, isMany }) => {
    const script = `
      import { getHeapSpaceStatistics } from "node:v8";
      import { collectYoungObjects } from ${module};
      const youngBytes = () => getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_used_size;
      gc({ type: "minor" });
      for (let i = 0; i < ${garbageCount}; i++) ({ some: [i] }).toString();
      const beforeBytes = youngBytes();
      collectYoungObjects();
      console.log(youngBytes() < beforeBytes / 2);
    `;
    // So much room that V8 collects nothing by itself.
    const options = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64", "--input-type=module"];
    expect(execFileSync(process.execPath, [...options, "-e", script], { encoding: "utf8" })).toBe(`${isMany}\n`);
  });

  it("does nothing in a thread that may not", () => {
    expect(globalThis).not.toHaveProperty("gc");
    expect(collectYoungObjects).not.toThrow();
  });
});

describe("letThreadsCollect", () => {
  it("lets those that are started from then on", async () => {
    letThreadsCollect();
    const worker = new Worker('require("node:worker_threads").parentPort.postMessage(typeof gc)', { eval: true });
    expect(await once(worker, "message")).toEqual(["function"]);
    await worker.terminate();
  });
});

const known = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8", maxBuffer: 16 << 20 });

it.each(collectorFlags)("V8 knows %s", (flag) => {
  expect(known).toContain(`  ${flag.split("=")[0]!.replace("--no-", "--")} (`);
});

it.each([
  { flag: "--minor-gc-task-trigger", usual: "80" },
  { flag: "--separate-gc-phases", usual: "--separate-gc-phases" },
  { flag: "--gc-experiment-less-compaction", usual: "--no-gc-experiment-less-compaction" },
  { flag: "--heap-growing-percent", usual: "0" },
])("what $flag goes back to is V8's own default", ({ flag, usual }) => {
  const [, described] = known.split(`  ${flag} (`);
  expect(/default: (?:--[a-z-]+=)?(\S+)/.exec(described!)![1]).toBe(usual);
});

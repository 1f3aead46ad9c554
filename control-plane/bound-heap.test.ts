import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** What new objects took at most in a process of which much lives for a while. */
async function mostYoungBytes(isBound: boolean): Promise<number> {
  const program = `
    import { getHeapSpaceStatistics } from "node:v8";
    import { boundHeap } from ${JSON.stringify(new URL("./bound-heap.ts", import.meta.url).href)};
    if (${isBound}) boundHeap();
    const living = Array.from({ length: 400_000 }, () => null);
    let most = 0;
    for (let turn = 0; turn < 300; turn++) {
      for (let i = 0; i < 20_000; i++) living[(turn * 20_000 + i) % living.length] = { turn, i, more: [turn, i] };
      await new Promise((resolve) => setImmediate(resolve));
      const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
      most = Math.max(most, young.space_size);
    }
    console.log(most);
    process.exit();`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  expect(stderr).toBe("");
  return Number(stdout);
}

describe("boundHeap", () => {
  it("bounds what new objects take, by options that this V8 knows", async () => {
    // V8 adds some pages of its own while it collects.
    expect(await mostYoungBytes(true)).toBeLessThan(64 * 1024 * 1024);
    expect(await mostYoungBytes(false)).toBeGreaterThan(100 * 1024 * 1024);
  });
});

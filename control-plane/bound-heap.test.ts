import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** What new objects have for most of the time, and at most, in a process of which much lives for a while. */
async function youngBytes(isBound: boolean): Promise<{ readonly usual: number; readonly most: number }> {
  const program = `
    import { getHeapSpaceStatistics } from "node:v8";
    import { boundHeap } from ${JSON.stringify(new URL("./bound-heap.ts", import.meta.url).href)};
    if (${isBound}) boundHeap();
    const living = Array.from({ length: 400_000 }, () => null);
    const sizes = [];
    for (let turn = 0; turn < 300; turn++) {
      for (let i = 0; i < 20_000; i++) living[(turn * 20_000 + i) % living.length] = "".padEnd(100, String(turn * i));
      await new Promise((resolve) => setImmediate(resolve));
      const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
      sizes.push(young.space_size);
    }
    // While V8 collects it may add some pages to them, and takes these away again.
    sizes.sort((left, right) => left - right);
    console.log(JSON.stringify({ usual: sizes[sizes.length >> 1], most: sizes.at(-1) }));
    process.exit();`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as { usual: number; most: number };
}

describe("boundHeap", () => {
  it("bounds what new objects take, by options that this V8 knows", async () => {
    // Twice the bound, as the space may grow once more before that is seen.
    expect((await youngBytes(true)).usual).toBeLessThan(72 * 1024 * 1024);
    expect((await youngBytes(false)).most).toBeGreaterThan(100 * 1024 * 1024);
  });
});

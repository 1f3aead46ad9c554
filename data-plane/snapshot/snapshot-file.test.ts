import { appendFile, chmod, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import type { ReceivedSnapshot } from "./apply-snapshot.ts";
import { decodeSnapshotBytes, encodeSnapshotBytes } from "./snapshot-bytes.ts";
import { openSnapshotFile } from "./snapshot-file.ts";

let folder: string;
beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), "penstock-snapshot-")), "data-plane");
});
afterEach(() => rm(path.dirname(folder), { recursive: true, force: true }));

function snapshotOf(publication: number, entityCount = 3): ReceivedSnapshot {
  const entities = Array.from({ length: entityCount }, (_, i) => ({
    kind: "upstream",
    id: `u${String(i).padStart(4, "0")}`,
    body: new Uint8Array([publication, i & 255, i >> 8]),
  }));
  const epoch = { counter: 1_700_000_000_000, id: new Uint8Array(16).fill(7) };
  return { epoch, publication, revision: publication * 10, stateHash: stateHashOf(entities), entities };
}

const current = () => path.join(folder, "snapshot.current");
const previous = () => path.join(folder, "snapshot.previous");

describe("row 16 and S26: openSnapshotFile", () => {
  it("gives back what was saved, also to a later process", async () => {
    expect(await openSnapshotFile({ folder }).save(snapshotOf(1, 2_500))).toEqual({ ok: true });
    const loaded = await openSnapshotFile({ folder }).load();
    expect(loaded).toMatchObject({ snapshot: snapshotOf(1, 2_500), skipped: [] });
    expect(loaded.content?.stateHash()).toEqual(snapshotOf(1, 2_500).stateHash);
  });

  it("keeps an empty state too", async () => {
    const file = openSnapshotFile({ folder });
    await file.save(snapshotOf(1, 0));
    expect((await file.load()).snapshot).toEqual(snapshotOf(1, 0));
  });

  it("has nothing to give before the first save", async () => {
    expect(await openSnapshotFile({ folder }).load()).toEqual({ snapshot: null, content: null, skipped: [] });
  });

  it("gives the generation before, where there is another one", async () => {
    const file = openSnapshotFile({ folder, restMs: () => 0 });
    await file.save(snapshotOf(1));
    const nothing = { snapshot: null, content: null, skipped: [] };
    expect(await file.loadBefore(snapshotOf(1))).toEqual(nothing);
    // The generation that is being written then is the newest.
    const saved = file.save(snapshotOf(2));
    expect((await file.loadBefore(snapshotOf(2))).snapshot).toEqual(snapshotOf(1));
    await saved;
    // Where the newest is damaged, it is what is served.
    expect(await file.loadBefore(snapshotOf(1))).toEqual(nothing);
  });

  it("gives the newest up for the one before, unless another is newer by then", async () => {
    const file = openSnapshotFile({ folder, restMs: () => 0 });
    await file.save(snapshotOf(1));
    const saved = [file.save(snapshotOf(2)), file.save(snapshotOf(3))];
    expect(await file.giveUp(3)).toEqual({ ok: true });
    await Promise.all(saved);
    expect((await openSnapshotFile({ folder }).load()).snapshot?.publication).toBe(2);
    expect(await file.giveUp(3)).toEqual({ ok: true });
    expect((await file.load()).snapshot?.publication).toBe(2);
    expect(await file.giveUp(2)).toMatchObject({ ok: false, problem: expect.stringContaining("ENOENT") });
    expect((await file.load()).snapshot?.publication).toBe(2);
  });

  it("writes the newest of what came while it rested, and at once when it is told to", async () => {
    const restedMs: number[] = [];
    // Until it is told to: the test would wait for a second at most, and fail.
    const file = openSnapshotFile({ folder, restMs: (writeMs) => restedMs.push(writeMs) * 1e9 });
    await file.save(snapshotOf(1));
    const saved = [2, 3, 4].map((publication) => file.save(snapshotOf(publication)));
    expect(await file.flush()).toEqual({ ok: true });
    expect(await Promise.all(saved)).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    expect(restedMs).toHaveLength(2);
    expect((await file.load()).snapshot?.publication).toBe(4);
    await rm(current());
    expect((await file.load()).snapshot?.publication).toBe(1);
    expect(await file.flush()).toEqual({ ok: true });
  });

  it("keeps two generations, private to the user, and nothing else", async () => {
    const file = openSnapshotFile({ folder });
    for (const publication of [1, 2, 3]) await file.save(snapshotOf(publication));
    expect((await readdir(folder)).sort()).toEqual(["snapshot.current", "snapshot.previous"]);
    const modes = [current(), previous()].map(async (path) => (await stat(path)).mode & 0o777);
    if (process.platform !== "win32") expect(await Promise.all(modes)).toEqual([0o600, 0o600]);
    await rm(current());
    expect((await file.load()).snapshot?.publication).toBe(2);
    if (process.platform === "win32") return;
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await chmod(folder, 0o755);
    await file.save(snapshotOf(4));
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it.each([
    { name: "is cut short", damage: (file: string) => truncate(file, 100) },
    { name: "is empty", damage: (file: string) => truncate(file, 0) },
    { name: "has grown", damage: (file: string) => appendFile(file, "x") },
    { name: "is something else", damage: (file: string) => writeFile(file, "hello") },
  ])("falls back to the previous generation when the current one $name, and says why", async ({ damage }) => {
    const file = openSnapshotFile({ folder });
    await file.save(snapshotOf(1));
    await file.save(snapshotOf(2));
    await damage(current());
    const loaded = await file.load();
    expect(loaded.snapshot).toEqual(snapshotOf(1));
    expect(loaded.skipped).toEqual([{ file: current(), reason: expect.stringMatching(/\w/) }]);
  });

  it("gives nothing when both generations are damaged", async () => {
    const file = openSnapshotFile({ folder });
    await file.save(snapshotOf(1));
    await file.save(snapshotOf(2));
    for (const name of [current(), previous()]) await truncate(name, 60);
    const loaded = await file.load();
    expect(loaded.snapshot).toBeNull();
    expect(loaded.skipped.map(({ file }) => file)).toEqual([current(), previous()]);
  });

  it("recovers from a save that was cut between its renames or before them", async () => {
    const file = openSnapshotFile({ folder });
    await file.save(snapshotOf(1));
    await rename(current(), previous());
    await writeFile(path.join(folder, "snapshot.writing"), "half of it");
    expect((await file.load()).snapshot).toEqual(snapshotOf(1));
    expect(await file.save(snapshotOf(2))).toEqual({ ok: true });
    expect((await file.load()).snapshot).toEqual(snapshotOf(2));
  });

  it("does not read a file beyond the limit", async () => {
    await openSnapshotFile({ folder }).save(snapshotOf(1));
    const { snapshot, skipped } = await openSnapshotFile({ folder, fileMaxBytes: 10 }).load();
    expect(snapshot).toBeNull();
    expect(skipped[0]?.reason).toContain("more than the limit of 10");
  });

  it("writes the newest of those that came while it wrote", async () => {
    const file = openSnapshotFile({ folder });
    const outcomes = await Promise.all([1, 2, 3, 4].map((publication) => file.save(snapshotOf(publication))));
    expect(outcomes.every(({ ok }) => ok)).toBe(true);
    expect((await file.load()).snapshot?.publication).toBe(4);
    await rm(current());
    expect((await file.load()).snapshot?.publication).toBe(1);
    await file.save(snapshotOf(5));
    expect((await file.load()).snapshot?.publication).toBe(5);
  });

  it("reports a place where nothing can be written, and rejects nothing", async () => {
    const blocked = path.join(path.dirname(folder), "a-file");
    await writeFile(blocked, "");
    const file = openSnapshotFile({ folder: path.join(blocked, "x") });
    expect(await file.save(snapshotOf(1))).toEqual({ ok: false, problem: expect.stringContaining("ENOTDIR") });
    expect((await file.load()).snapshot).toBeNull();
  });
});

describe("decodeSnapshotBytes", () => {
  it("notices every flipped bit", () => {
    const bytes = Buffer.concat([...encodeSnapshotBytes(snapshotOf(3))]);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        expect(decodeSnapshotBytes(flipped).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it("notices a file that was written with the hash of other content", () => {
    const bytes = Buffer.concat([...encodeSnapshotBytes({ ...snapshotOf(3), stateHash: stateHashOf([]) })]);
    expect(decodeSnapshotBytes(bytes)).toEqual({ ok: false, problem: "its state hash is not that of its content" });
  });

  it("reads what is at an offset of a larger buffer", async () => {
    const file = path.join(path.dirname(folder), "file");
    await writeFile(file, encodeSnapshotBytes(snapshotOf(3)));
    const larger = Buffer.concat([Buffer.from("abc"), await readFile(file)]);
    expect(decodeSnapshotBytes(larger.subarray(3))).toMatchObject({ ok: true, snapshot: snapshotOf(3) });
  });
});

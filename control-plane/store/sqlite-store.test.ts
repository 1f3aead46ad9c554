import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  deleteWrite,
  routeWrite,
  serviceWrite,
  targetWrite,
  upstreamWrite,
} from "../../test/support/resource-write.ts";
import type { ResourceImage } from "./resource-image.ts";
import { openSqliteStore, type SqliteStore, type SqliteStoreOptions } from "./sqlite-store.ts";
import type { Commit, ResourceWrite } from "./store.ts";

let folder: string;
let path: string;
let opened: SqliteStore[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-store-"));
  path = join(folder, "store.db");
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((store) => store.close()));
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a store that is closed after the test. Whatever it logs fails the test, unless the test takes the log. */
async function open(options: Partial<SqliteStoreOptions> = {}): Promise<SqliteStore> {
  const logError = (error: unknown) => {
    throw error;
  };
  const store = await openSqliteStore({ path, logError, ...options });
  opened.push(store);
  return store;
}

const upstream = (id: string, name = id) => upstreamWrite({ id, name });
const target = (id: string, upstreamId: string) => targetWrite({ id, target: `${id}:80`, upstreamId });
const hugeUpstream = () => upstreamWrite({ id: "huge", name: "huge", tags: [Buffer.alloc(900_000, "x").toString()] });

/** All that an image holds, in an order of its own. */
function contents(image: ResourceImage) {
  const kinds = ["upstream", "target", "service", "route"] as const;
  const resources = kinds.flatMap((kind) => [...image.all(kind)] as { kind: string; id: string }[]);
  const byPlace = (a: { kind: string; id: string }, b: typeof a) => (a.kind + a.id < b.kind + b.id ? -1 : 1);
  return { revision: image.revision, publication: image.publication, resources: resources.sort(byPlace) };
}

describe("openSqliteStore", () => {
  it("starts an empty store at revision 0, in a folder that it makes", async () => {
    const store = await open({ path: join(folder, "not", "yet", "store.db"), now: () => 1_234 });
    expect(contents(store.image)).toEqual({ revision: 0, publication: 0, resources: [] });
    expect(store.epoch).toEqual({ counter: 1_234, id: expect.any(Uint8Array) });
    expect(store.epoch.id).toHaveLength(16);
  });

  it("has SQLite sync its log at every commit", async () => {
    const store = await open();
    expect(store.durability).toEqual({ synchronous: 2, journalMode: "wal", lockingMode: "exclusive" });
  });

  it("finds everything again, in memory as in the file", async () => {
    const first = await open();
    await first.transact([upstream("u1"), target("t1", "u1"), target("t2", "u1")], "a");
    await first.transact(
      [serviceWrite({ id: "s1", name: "s", host: "u1" }), routeWrite({ id: "r1", paths: ["/"], serviceId: "s1" })],
      "a",
    );
    await first.transact([deleteWrite("target", "t2")], "a");
    const before = contents(first.image);
    await first.close();
    const second = await open({ now: () => first.epoch.counter + 1 });
    expect(contents(second.image)).toEqual(before);
    expect(second.epoch).toEqual(first.epoch);
    expect(second.image.getByKey("service", "name:s")?.message.host).toBe("u1");
    expect([...second.image.referrers("target", "upstream", "u1")].map((found) => found.id)).toEqual(["t1"]);
    expect(await second.transact([upstream("u2")], "a")).toEqual({ ok: true, revision: 4, publication: 4 });
  });

  it("loads more resources than one part holds", async () => {
    const first = await open();
    const writes = Array.from({ length: 2_500 }, (_, i) => [upstream(`u${i}`), target(`t${i}`, `u${i}`)]).flat();
    await first.transact(writes, "a");
    await first.close();
    const { image } = await open();
    expect([image.count("upstream"), image.count("target")]).toEqual([2_500, 2_500]);
    for (let i = 0; i < 2_500; i++) {
      expect(image.getByKey("upstream", `name:u${i}`)?.id).toBe(`u${i}`);
      expect([...image.referrers("target", "upstream", `u${i}`)].map((found) => found.id)).toEqual([`t${i}`]);
    }
  });

  it("holds the same after any history as the store that is opened on it", async () => {
    const ids = fc.constantFrom("a", "b", "c");
    const names = fc.constantFrom("x", "y", "z");
    const operations = fc.constantFrom("create", "update", "delete");
    const anyWrite: fc.Arbitrary<ResourceWrite> = fc
      .tuple(fc.boolean(), ids, names, operations)
      .map(([isUpstream, id, name, operation]) => {
        if (operation === "delete") return deleteWrite(isUpstream ? "upstream" : "target", id);
        if (isUpstream) return upstreamWrite({ id, name }, { operation });
        return targetWrite({ id, target: "h:1", upstreamId: name === "x" ? "a" : "b" }, { operation });
      });
    const histories = fc.array(fc.array(anyWrite, { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 40,
      size: "max",
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const live = await open({ path: join(folder, `${run++}.db`) });
        await Promise.all(history.map((writes) => live.transact(writes, "a")));
        const before = contents(live.image);
        const keysBefore = ["x", "y", "z"].map((name) => live.image.getByKey("upstream", `name:${name}`)?.id);
        await live.close();
        const again = await open({ path: join(folder, `${run - 1}.db`) });
        expect(contents(again.image)).toEqual(before);
        expect(["x", "y", "z"].map((name) => again.image.getByKey("upstream", `name:${name}`)?.id)).toEqual(keysBefore);
        await again.close();
      }),
      { numRuns: 6, endOnFailure: true },
    );
  });

  it("keeps the key of a resource through which another one passed within a transact", async () => {
    const live = await open({ path: join(folder, "passed.db") });
    const done = await live.transact(
      [
        upstreamWrite({ id: "a", name: "x" }, { operation: "create" }),
        upstreamWrite({ id: "c", name: "x" }, { operation: "create" }),
        upstreamWrite({ id: "c", name: "y" }, { operation: "update" }),
      ],
      "a",
    );
    expect(done.ok).toBe(true);
    expect(live.image.getByKey("upstream", "name:x")?.id).toBe("a");
    expect(live.image.getByKey("upstream", "name:y")?.id).toBe("c");
    await live.close();
  });

  it("keeps it also for one that the transact does not touch", async () => {
    const live = await open({ path: join(folder, "passed-by.db") });
    await live.transact([upstreamWrite({ id: "b", name: "z" }, { operation: "create" })], "a");
    const passing = [
      upstreamWrite({ id: "a", name: "z" }, { operation: "create" }),
      upstreamWrite({ id: "c", name: "z" }, { operation: "create" }),
      deleteWrite("upstream", "a"),
      deleteWrite("upstream", "c"),
    ];
    expect((await live.transact(passing, "a")).ok).toBe(true);
    expect(live.image.getByKey("upstream", "name:z")?.id).toBe("b");
    await live.close();
  });
});

describe("SqliteStore.transact", () => {
  it("answers 2,000 concurrent transacts, each with a revision of its own, in the order of the calls", async () => {
    const store = await open();
    const outcomes = await Promise.all(
      Array.from({ length: 2_000 }, (_, i) => store.transact([upstream(`u${i}`)], "a")),
    );
    expect(outcomes.map((outcome) => outcome.ok && outcome.revision)).toEqual(
      Array.from({ length: 2_000 }, (_, i) => i + 1),
    );
    expect(store.image.count("upstream")).toBe(2_000);
  });

  it("commits what is queued together", async () => {
    let batch = 0;
    const store = await open({ now: () => ++batch });
    batch = 0;
    await Promise.all(Array.from({ length: 450 }, (_, i) => store.transact([upstream(`u${i}`)], "a")));
    const instants = (await store.readChanges(0, 1_000))!.map((change) => change.atUnixMs);
    expect(instants.filter((at) => at === 1)).toHaveLength(200);
    expect(instants.filter((at) => at === 2)).toHaveLength(200);
    expect(instants.filter((at) => at === 3)).toHaveLength(50);
  });

  it("leaves image and listeners alone when a transact conflicts, and goes on with its neighbours", async () => {
    const store = await open();
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    const outcomes = await Promise.all([
      store.transact([upstream("u1")], "a"),
      store.transact([upstream("lost"), target("t1", "nowhere")], "a"),
      store.transact([upstream("u2")], "a"),
    ]);
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true]);
    expect(commits.map((commit) => commit.revision)).toEqual([1, 2]);
    expect([...store.image.all("upstream")].map((found) => found.id)).toEqual(["u1", "u2"]);
  });

  it("commits nothing for a transact without writes", async () => {
    const store = await open();
    await store.transact([upstream("u1")], "a");
    expect(await store.transact([], "a")).toEqual({ ok: true, revision: 1, publication: 1 });
    expect(await store.readChanges(1, 10)).toEqual([]);
  });

  it("keeps a body that is a part of a larger buffer", async () => {
    const store = await open();
    const write = upstream("u1");
    const shared = new Uint8Array(10_000);
    shared.set(write.body, 100);
    await store.transact([{ ...write, body: shared.subarray(100, 100 + write.body.length) }], "a");
    shared.fill(0);
    expect(store.image.get("upstream", "u1")?.body).toEqual(write.body);
    expect((await store.readChanges(0, 1))?.[0]?.after).toEqual(write.body);
  });

  it("rejects a body that is no such message, before anything is written", async () => {
    const store = await open();
    await expect(store.transact([{ ...upstream("u1"), body: new Uint8Array([7]) }], "a")).rejects.toThrow();
    expect(await store.transact([upstream("u2")], "a")).toMatchObject({ ok: true, revision: 1 });
  });

  it("refuses at once what the queue has no room for", async () => {
    const store = await open({ queueMaxCount: 2 });
    const outcomes = await Promise.all(["u1", "u2", "u3"].map((id) => store.transact([upstream(id)], "a")));
    const unavailable = {
      ok: false,
      conflict: { type: "unavailable", message: "too many writes are waiting for the store" },
    };
    expect(outcomes).toEqual([
      expect.objectContaining({ ok: true }),
      expect.objectContaining({ ok: true }),
      unavailable,
    ]);
  });

  it("is unavailable with nothing changed while the disk is full, and goes on when there is room", async () => {
    const store = await open({ databaseMaxBytes: 512 * 1024 });
    await store.transact([upstream("u1")], "a");
    const before = contents(store.image);
    expect(await store.transact([hugeUpstream()], "a")).toEqual({
      ok: false,
      conflict: { type: "unavailable", message: expect.stringContaining("disk is full") },
    });
    expect(contents(store.image)).toEqual(before);
    expect(await store.readChanges(1, 10)).toEqual([]);
    expect(await store.transact([upstream("u2")], "a")).toEqual({ ok: true, revision: 2, publication: 2 });
  });
});

describe("SqliteStore.onCommit", () => {
  it("tells each commit in the order of revisions, with the image just there, before transact resolves", async () => {
    const store = await open();
    const seen: unknown[] = [];
    store.onCommit((commit) =>
      seen.push([commit.revision, commit.publication, store.image.revision, store.image.count("upstream")]),
    );
    await Promise.all(
      ["u1", "u2"].map((id) => store.transact([upstream(id)], "a").then(() => seen.push(`${id} done`))),
    );
    expect(seen).toEqual([[1, 1, 1, 1], [2, 2, 2, 2], "u1 done", "u2 done"]);
  });

  it("says what was there before and after, also within one commit", async () => {
    const store = await open({ now: () => 5 });
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    const [one, two] = [upstream("u1", "one"), upstreamWrite({ id: "u1", name: "two" }, { operation: "update" })];
    await store.transact([one, two, deleteWrite("upstream", "u1")], "a");
    const about = { revision: 1, kind: "upstream", id: "u1", atUnixMs: 5 };
    expect(commits[0]?.changes).toEqual([
      { ...about, operation: "create", before: null, after: one.body },
      { ...about, operation: "update", before: one.body, after: two.body },
      { ...about, operation: "delete", before: two.body, after: null },
    ]);
    expect(await store.readChanges(0, 10)).toEqual(
      commits[0]?.changes.map((change) => expect.objectContaining(change)),
    );
  });

  it("logs a listener that throws, and goes on to the next", async () => {
    const logError = vi.fn();
    const store = await open({ logError });
    const listener = vi.fn();
    store.onCommit(() => {
      throw new Error("mine");
    });
    store.onCommit(listener);
    expect(await store.transact([upstream("u1")], "a")).toMatchObject({ ok: true });
    expect(listener).toHaveBeenCalledOnce();
    expect(logError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ cause: new Error("mine") }));
  });

  it("stops when told, for that subscription alone", async () => {
    const store = await open();
    const listener = vi.fn();
    const stop = store.onCommit(listener);
    store.onCommit(listener);
    stop();
    await store.transact([upstream("u1")], "a");
    expect(listener).toHaveBeenCalledOnce();
  });

  it("lets a listener write", async () => {
    const store = await open();
    const written = new Promise((resolve) => {
      store.onCommit(({ revision }) => {
        if (revision === 1) resolve(store.transact([upstream("u2")], "listener"));
      });
    });
    await store.transact([upstream("u1")], "a");
    expect(await written).toMatchObject({ ok: true, revision: 2 });
  });
});

describe("SqliteStore.readChanges", () => {
  it("returns whole revisions, so that reading goes on after the last one", async () => {
    const store = await open();
    await store.transact([upstream("u1")], "a");
    await store.transact([upstream("u2"), upstream("u3")], "a");
    await store.transact([upstream("u4"), upstream("u5"), upstream("u6")], "a");
    const read = async (after: number, maxCount: number) =>
      (await store.readChanges(after, maxCount))!.map((change) => change.id);
    expect(await read(0, 3)).toEqual(["u1", "u2", "u3"]);
    expect(await read(0, 2)).toEqual(["u1"]);
    expect(await read(1, 4)).toEqual(["u2", "u3"]);
    expect(await read(2, 1)).toEqual(["u4", "u5", "u6"]);
    expect(await read(3, 10)).toEqual([]);
  });

  it("is null from before the changes that are kept by count, which stay whole revisions", async () => {
    const first = await open();
    for (let i = 0; i < 5; i++) await first.transact([upstream(`a${i}`), upstream(`b${i}`)], "a");
    await first.close();
    const store = await open({ historyMaxCount: 3 });
    await vi.waitFor(async () => expect(await store.readChanges(0, 100)).toBeNull());
    expect(await store.readChanges(2, 100)).toBeNull();
    expect((await store.readChanges(3, 100))?.map((change) => change.id)).toEqual(["a3", "b3", "a4", "b4"]);
    expect(store.image.count("upstream")).toBe(10);
  });

  it("is null from before the changes that are kept by age", async () => {
    let now = 1_000;
    const first = await open({ now: () => now });
    await first.transact([upstream("old")], "a");
    now = 2_000;
    await first.transact([upstream("new")], "a");
    await first.close();
    const store = await open({ now: () => 2_500, historyMaxAgeMs: 500 });
    await vi.waitFor(async () => expect(await store.readChanges(0, 100)).toBeNull());
    expect((await store.readChanges(1, 100))?.map((change) => change.id)).toEqual(["new"]);
  });

  it("keeps what the floor asks for, whatever the count says, and no more", async () => {
    const first = await open();
    for (let i = 0; i < 6; i++) await first.transact([upstream(`u${i}`)], "a");
    await first.close();
    const store = await open({ historyMaxCount: 1, historyFloor: () => 3 });
    await vi.waitFor(async () => expect(await store.readChanges(2, 100)).toBeNull());
    expect((await store.readChanges(3, 100))?.map((change) => change.id)).toEqual(["u3", "u4", "u5"]);
  });

  it("forgets in steps, between which writes go on", async () => {
    const store = await open({ historyMaxCount: 10 });
    const outcomes = await Promise.all(
      Array.from({ length: 3_500 }, (_, i) => store.transact([upstream(`u${i}`)], "a")),
    );
    expect(outcomes.every((outcome) => outcome.ok)).toBe(true);
    await vi.waitFor(async () => expect(await store.readChanges(2_000, 10_000)).toBeNull());
  });
});

describe("SqliteStore.close", () => {
  it("commits what is queued, and then takes nothing more", async () => {
    const store = await open();
    const queued = Array.from({ length: 300 }, (_, i) => store.transact([upstream(`u${i}`)], "a"));
    const closed = store.close();
    expect(await store.transact([upstream("late")], "a")).toEqual({
      ok: false,
      conflict: { type: "unavailable", message: "the store is closed" },
    });
    await closed;
    expect((await Promise.all(queued)).every((outcome) => outcome.ok)).toBe(true);
    await expect(store.readChanges(0, 1)).rejects.toThrow("closed");
    expect((await open()).image.count("upstream")).toBe(300);
  });
});

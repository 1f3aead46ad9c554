import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deleteWrite, upstreamWrite } from "../../test/support/resource-write.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite-store.ts";
import type { Commit } from "./store.ts";

let folder: string;
let path: string;
let store: SqliteStore;
let worker: Worker;
const logError = vi.fn();

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "penstock-store-"));
  path = join(folder, "store.db");
  logError.mockClear();
  store = await openSqliteStore({ path, logError, startWorker });
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

function startWorker(): Worker {
  worker = new Worker(new URL("./sqlite-worker.ts", import.meta.url));
  return worker;
}

/** The worker does what it is asked once more, and is gone before anybody hears of it. */
function loseNextAnswer(): void {
  const { emit } = worker;
  const losing = worker;
  losing.emit = (event: string, ...details: unknown[]) => {
    if (event !== "message") return emit.call(losing, event, ...details);
    void losing.terminate();
    return true;
  };
}

const upstream = (id: string) => upstreamWrite({ id, name: id });

describe("SqliteStore when its thread ends", () => {
  it("starts another one for the next write", async () => {
    await store.transact([upstream("u1")], "a");
    await worker.terminate();
    expect(await store.transact([upstream("u2")], "a")).toEqual({ ok: true, revision: 2, publication: 2 });
    expect(await store.readChanges(0, 10)).toHaveLength(2);
    expect(logError).toHaveBeenCalledOnce();
  });

  it("starts one only for all that ask at once", async () => {
    await store.transact([upstream("u1")], "a");
    await worker.terminate();
    const answers = await Promise.all([
      store.readChanges(0, 10),
      store.transact([upstream("u2")], "a"),
      store.readChanges(1, 10),
    ]);
    expect(answers[1]).toMatchObject({ ok: true, revision: 2 });
    expect(logError).toHaveBeenCalledOnce();
  });

  it("finds, applies and tells a commit whose answer was lost", async () => {
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    await store.transact([upstream("u1")], "a");
    loseNextAnswer();
    expect(await Promise.all([store.transact([upstream("u2")], "a"), store.transact([upstream("u3")], "a")])).toEqual(
      Array(2).fill({
        ok: false,
        conflict: { type: "unavailable", message: expect.stringContaining("may have been made") },
      }),
    );
    expect(commits.map(({ revision, publication, changes }) => [revision, publication, changes[0]?.id])).toEqual([
      [1, 1, "u1"],
      [2, 2, "u2"],
      [3, 3, "u3"],
    ]);
    expect(store.image.getByKey("upstream", "name:u3")?.revision).toBe(3);
    expect(await store.transact([upstream("u4")], "a")).toMatchObject({ ok: true, revision: 4 });
  });

  it("tells of each of the commits whose answer was lost while the state is exactly that one's", async () => {
    await store.transact([upstream("u1"), upstream("gone")], "a");
    const seen: unknown[] = [];
    store.onCommit(({ revision }) => {
      const { image } = store;
      const tagsOf = (id: string) => image.get("upstream", id)?.message.tags;
      const names = [...image.all("upstream")].map(({ id }) => id).sort();
      const [at, keyed] = [image.revision, image.getByKey("upstream", "name:gone")?.id];
      seen.push({ revision, at, publication: image.publication, names, u1: tagsOf("u1"), keyed });
    });
    loseNextAnswer();
    const changed = (tag: string) => upstreamWrite({ id: "u1", name: "u1", tags: [tag] }, { operation: "update" });
    await Promise.all([
      store.transact([changed("immediate")], "a"),
      store.transact([changed("staged"), upstream("u2")], "a"),
      store.transact([deleteWrite("upstream", "gone")], "a"),
      store.transact([upstreamWrite({ id: "u3", name: "gone" })], "a"),
    ]);
    const first = ["gone", "u1"];
    expect(seen).toEqual([
      { revision: 2, at: 2, publication: 2, names: first, u1: ["immediate"], keyed: "gone" },
      { revision: 3, at: 3, publication: 3, names: [...first, "u2"], u1: ["staged"], keyed: "gone" },
      { revision: 4, at: 4, publication: 4, names: ["u1", "u2"], u1: ["staged"], keyed: undefined },
      { revision: 5, at: 5, publication: 5, names: ["u1", "u2", "u3"], u1: ["staged"], keyed: "u3" },
    ]);
  });

  it("finds each by what it is found by, though a name went to another in commits whose answer was lost", async () => {
    await store.transact([upstreamWrite({ id: "u1", name: "passed" })], "a");
    loseNextAnswer();
    const renamed = (tag: string) => upstreamWrite({ id: "u1", name: "new", tags: [tag] }, { operation: "update" });
    await Promise.all([
      store.transact([renamed("1")], "a"),
      store.transact([upstreamWrite({ id: "u2", name: "passed" })], "a"),
      store.transact([renamed("2")], "a"),
      store.transact([renamed("3")], "a"),
    ]);
    expect(store.image.revision).toBe(5);
    const found = ["name:passed", "name:new"].map((key) => store.image.getByKey("upstream", key)?.id);
    expect(found).toEqual(["u2", "u1"]);
  });

  it("is unavailable while the file cannot be opened again, reads on from memory, and recovers", async () => {
    await store.transact([upstream("u1")], "a");
    await worker.terminate();
    const intruder = new DatabaseSync(path);
    intruder.exec("BEGIN EXCLUSIVE");
    expect(await store.transact([upstream("u2")], "a")).toEqual({
      ok: false,
      conflict: { type: "unavailable", message: expect.stringContaining("the write was not made") },
    });
    expect(store.image.get("upstream", "u1")?.revision).toBe(1);
    intruder.close();
    expect(await store.transact([upstream("u2")], "a")).toEqual({ ok: true, revision: 2, publication: 2 });
  });

  it("stays out of order when the file was replaced, and says so", async () => {
    await store.transact([upstream("u1")], "a");
    await worker.terminate();
    rmSync(path);
    expect(await store.transact([upstream("u2")], "a")).toEqual({
      ok: false,
      conflict: { type: "unavailable", message: expect.stringContaining("replaced by another store") },
    });
    expect(store.image.count("upstream")).toBe(1);
  });

  it("can be closed, and its file opened", async () => {
    await store.transact([upstream("u1")], "a");
    await worker.terminate();
    await store.close();
    store = await openSqliteStore(path);
    expect(store.image.revision).toBe(1);
  });
});

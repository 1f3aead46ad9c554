import { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { beforeEach, describe, expect, it } from "vitest";
import {
  deleteWrite,
  routeWrite,
  serviceWrite,
  targetWrite,
  upstreamWrite,
} from "../../test/support/resource-write.ts";
import { BatchCommitter } from "./batch-committer.ts";
import { migrations } from "./migrations.ts";
import { nodeSqliteDialect } from "./node-sqlite-dialect.ts";
import type { ResourceWrite } from "./store.ts";

let database: DatabaseSync;
let committer: BatchCommitter;

beforeEach(async () => {
  database = new DatabaseSync(":memory:");
  const db = new Kysely<unknown>({ dialect: nodeSqliteDialect(database) });
  for (const migration of Object.values(migrations)) await migration.up(db);
  database.exec("INSERT INTO meta VALUES (1, 1, x'00', 0, 0, 0)");
  committer = new BatchCommitter(database);
});

/** Commits transacts as one batch; a transact is a list of writes. */
function commit(...transacts: ResourceWrite[][]) {
  return committer.commit({ transacts: transacts.map((writes) => ({ writes, actor: "tester" })), atUnixMs: 1_000 });
}

const update = (expectedRevision: number | null = null) => ({ operation: "update" as const, expectedRevision });
const upstream = (id: string, name = id) => upstreamWrite({ id, name });
const target = (id: string, upstreamId: string) => targetWrite({ id, target: `${id}:80`, upstreamId });

describe("BatchCommitter", () => {
  it("counts one revision and one publication for each transact, however many writes it has", () => {
    expect(commit([upstream("u1"), target("t1", "u1")], [upstream("u2")])).toEqual([
      { ok: true, revision: 1, publication: 1 },
      { ok: true, revision: 2, publication: 2 },
    ]);
    expect(commit([deleteWrite("upstream", "u2")])).toEqual([{ ok: true, revision: 3, publication: 3 }]);
  });

  it("commits the others of a batch, without a gap, when one of them conflicts halfway", () => {
    const outcomes = commit(
      [upstream("u1")],
      [upstream("lost"), upstream("u1")],
      [upstream("u2")],
      [upstream("taken", "u2")],
      [upstream("u3")],
    );
    expect(outcomes).toEqual([
      { ok: true, revision: 1, publication: 1 },
      { ok: false, conflict: { type: "duplicate_id", write: 1 } },
      { ok: true, revision: 2, publication: 2 },
      { ok: false, conflict: { type: "duplicate_key", write: 0, key: "name:u2" } },
      { ok: true, revision: 3, publication: 3 },
    ]);
    expect(
      database
        .prepare("SELECT id FROM resources ORDER BY id")
        .all()
        .map((row) => row["id"]),
    ).toEqual(["u1", "u2", "u3"]);
    expect(database.prepare("SELECT count(*) AS n FROM changes").get()).toEqual({ n: 3 });
  });

  it("logs each write with what was there before and after", () => {
    const created = upstream("u1", "one");
    const updated = upstreamWrite({ id: "u1", name: "two" }, update(1));
    commit([created], [updated], [deleteWrite("upstream", "u1")]);
    const logged = database
      .prepare("SELECT revision, operation, before, after, actor, at_unix_ms AS at FROM changes")
      .all();
    expect(logged).toEqual([
      { revision: 1, operation: "create", before: null, after: created.body, actor: "tester", at: 1_000 },
      { revision: 2, operation: "update", before: created.body, after: updated.body, actor: "tester", at: 1_000 },
      { revision: 3, operation: "delete", before: updated.body, after: null, actor: "tester", at: 1_000 },
    ]);
  });

  it.each([
    {
      name: "a create of an id that is there",
      writes: [upstream("u1", "other")],
      conflict: { type: "duplicate_id", write: 0 },
    },
    {
      name: "an update of what is not there",
      writes: [upstreamWrite({ id: "u9", name: "u9" }, update())],
      conflict: { type: "revision", write: 0 },
    },
    {
      name: "an update of another revision",
      writes: [upstreamWrite({ id: "u1", name: "u1" }, update(9))],
      conflict: { type: "revision", write: 0 },
    },
    {
      name: "a delete of what is not there",
      writes: [deleteWrite("upstream", "u9")],
      conflict: { type: "revision", write: 0 },
    },
    {
      name: "a delete of another revision",
      writes: [deleteWrite("upstream", "u1", 9)],
      conflict: { type: "revision", write: 0 },
    },
    {
      name: "a name that another has",
      writes: [upstream("u9"), upstream("u8", "u1")],
      conflict: { type: "duplicate_key", write: 1, key: "name:u1" },
    },
    {
      name: "a name taken twice at once",
      writes: [upstream("u8", "n"), upstream("u9", "n")],
      conflict: { type: "duplicate_key", write: 1, key: "name:n" },
    },
    {
      name: "a reference to nothing",
      writes: [upstream("u9"), target("t9", "u7")],
      conflict: { type: "dangling_reference", write: 1, kind: "upstream", id: "u7" },
    },
    {
      name: "a reference to another kind",
      writes: [routeWrite({ id: "r1", paths: ["/"], serviceId: "u1" })],
      conflict: { type: "dangling_reference", write: 0, kind: "service", id: "u1" },
    },
    {
      name: "a delete of what is referenced",
      writes: [deleteWrite("upstream", "u1")],
      conflict: { type: "still_referenced", write: 0, byKind: "target", byId: "t1" },
    },
  ])("refuses $name", ({ writes, conflict }) => {
    commit([upstream("u1"), target("t1", "u1")]);
    expect(commit(writes)).toEqual([{ ok: false, conflict }]);
    expect(database.prepare("SELECT revision, publication FROM meta").get()).toEqual({ revision: 1, publication: 1 });
  });

  it.each([
    {
      name: "a name given up and taken in any order",
      writes: [upstream("u2", "u1"), upstreamWrite({ id: "u1", name: "new" }, update())],
    },
    {
      name: "two resources swapping their names",
      writes: [
        upstreamWrite({ id: "u1", name: "free" }, update()),
        upstreamWrite({ id: "free", name: "u1" }, update()),
      ],
    },
    {
      name: "a name passing from a deleted resource",
      writes: [upstream("u2", "free"), deleteWrite("upstream", "free")],
    },
    { name: "a reference to what the same transact creates later", writes: [target("t2", "u2"), upstream("u2")] },
    {
      name: "a parent deleted before its children",
      writes: [deleteWrite("upstream", "u1"), deleteWrite("target", "t1")],
    },
    {
      name: "children deleted before their parent",
      writes: [deleteWrite("target", "t1"), deleteWrite("upstream", "u1")],
    },
    {
      name: "a parent deleted whose child moves away",
      writes: [deleteWrite("upstream", "u1"), targetWrite({ id: "t1", target: "t1:80", upstreamId: "free" }, update())],
    },
    {
      name: "a delete and a new create of one id",
      writes: [deleteWrite("upstream", "free"), upstream("free", "again")],
    },
    { name: "the revision it expects", writes: [upstreamWrite({ id: "u1", name: "u1" }, update(1))] },
    {
      name: "a repeated key and reference",
      writes: [
        {
          ...target("t3", "u1"),
          uniqueKeys: ["a", "a"],
          references: [
            { kind: "upstream", id: "u1" },
            { kind: "upstream", id: "u1" },
          ],
        } as const,
      ],
    },
  ])("accepts $name", ({ writes }) => {
    commit([upstream("u1"), target("t1", "u1"), upstream("free")]);
    expect(commit([...writes])).toEqual([{ ok: true, revision: 2, publication: 2 }]);
  });

  it("frees the keys and references of what was deleted", () => {
    commit([serviceWrite({ id: "s1", name: "s", host: "h" }), routeWrite({ id: "r1", paths: ["/"], serviceId: "s1" })]);
    commit([deleteWrite("route", "r1")]);
    expect(commit([deleteWrite("service", "s1")])[0]).toMatchObject({ ok: true });
    expect(commit([serviceWrite({ id: "s2", name: "s", host: "h" })])[0]).toMatchObject({ ok: true });
  });

  it("fails only the transact that the disk has no room for", () => {
    database.exec("PRAGMA max_page_count = 60");
    const huge = upstreamWrite({ id: "huge", name: "huge", tags: [Buffer.alloc(500_000, "x").toString()] });
    expect(commit([upstream("u1")], [huge], [upstream("u2")])).toEqual([
      { ok: true, revision: 1, publication: 1 },
      { ok: false, conflict: { type: "unavailable", message: expect.stringContaining("disk is full") } },
      { ok: true, revision: 2, publication: 2 },
    ]);
    expect(database.isTransaction).toBe(false);
  });

  it("fails only the transact that holds a value SQLite cannot take", () => {
    const bad = { ...upstream("bad"), uniqueKeys: [Symbol("no text") as unknown as string] };
    expect(commit([bad], [upstream("u1")])).toEqual([
      { ok: false, conflict: { type: "unavailable", message: expect.any(String) } },
      { ok: true, revision: 1, publication: 1 },
    ]);
  });
});

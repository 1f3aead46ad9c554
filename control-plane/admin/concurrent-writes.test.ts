import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { granted, serviceDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import type { Store } from "../store/store.ts";
import { openAdmin } from "./admin.ts";

const toClose: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function openSqlite(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-admin-"));
  toClose.push(() => rmSync(folder, { recursive: true, force: true }));
  const store = await openSqliteStore(join(folder, "store.db"));
  toClose.push(() => store.close());
  return store;
}

/** One way to change one field, for each of six fields: the i-th write of a field gives it the value i. */
const fieldWrites = [
  { field: "port", draft: (i: number) => serviceDraft({ port: i }) },
  { field: "retries", draft: (i: number) => serviceDraft({ retries: i }) },
  { field: "path", draft: (i: number) => serviceDraft({ path: `/${i}` }) },
  { field: "connectTimeout", draft: (i: number) => serviceDraft({ connectTimeout: { seconds: BigInt(i) + 1n } }) },
  { field: "tags", draft: (i: number) => serviceDraft({ tags: [`t${i}`] }) },
  { field: "host", draft: (i: number) => serviceDraft({ host: `h${i}.test` }) },
];

describe("concurrent writes", () => {
  it.each([
    { engine: "memory", count: 10_000, open: async (): Promise<Store> => new MemoryStore() },
    { engine: "SQLite", count: 1_000, open: openSqlite },
  ])("to different fields of one resource all succeed, and none is lost ($engine, $count)", async ({ count, open }) => {
    const store = await open();
    const admin = openAdmin(store, Date.now);
    const { resource, revision } = granted(await admin.service.create(serviceDraft({ name: "s", host: "a.test" })));
    const writes = Array.from({ length: count }, (_, i) => {
      // By id and by name in turn: both must come to the same queue.
      const key = i % 2 === 0 ? "s" : resource.id;
      return admin.service.update(
        { key },
        fieldWrites[i % fieldWrites.length]!.draft(Math.floor(i / fieldWrites.length)),
      );
    });
    const revisions = (await Promise.all(writes)).map((written) => granted(written).revision);
    expect(revisions).toEqual(Array.from({ length: count }, (_, i) => revision + 1 + i));

    const last = (field: number) => Math.floor((count - 1 - field) / fieldWrites.length);
    expect(granted(admin.service.get({ key: "s" }))).toMatchObject({
      port: last(0),
      retries: last(1),
      path: `/${last(2)}`,
      connectTimeout: { seconds: BigInt(last(3)) + 1n },
      tags: [`t${last(4)}`],
      host: `h${last(5)}.test`,
    });
  });

  it.each(["s", "7d4d2d5c-6f0e-4f59-8f0f-0d2a0f5a3c11"])(
    "that replace what is not there yet all succeed (%s)",
    async (key) => {
      const admin = openAdmin(new MemoryStore(), Date.now);
      const replace = (i: number) => admin.service.replace({ key }, serviceDraft({ host: `h${i}.test` }));
      const early = Array.from({ length: 20 }, (_, i) => replace(i));
      // These come when the first one has made the resource, and find it.
      while (!admin.service.get({ key }).ok) await new Promise(setImmediate);
      const late = Array.from({ length: 20 }, (_, i) => replace(20 + i));
      const written = (await Promise.all([...early, ...late])).map((checked) => granted(checked));
      expect(new Set(written.map(({ resource }) => resource.id)).size).toBe(1);
      expect(written.filter(({ isCreated }) => isCreated)).toHaveLength(1);
    },
  );

  it("of two processes on one store are both kept", async () => {
    const store = new MemoryStore();
    const [one, other] = [openAdmin(store, Date.now), openAdmin(store, Date.now)];
    granted(await one.service.create(serviceDraft({ name: "s", host: "a.test" })));
    // The second write of each pair loses the race in the store, reads again and finds the first one's field kept.
    for (let i = 1; i <= 20; i++) {
      const written = await Promise.all([
        one.service.update({ key: "s" }, serviceDraft({ port: i })),
        other.service.update({ key: "s" }, serviceDraft({ retries: i })),
      ]);
      written.map((checked) => granted(checked));
      expect(granted(one.service.get({ key: "s" }))).toMatchObject({ port: i, retries: i });
    }
    expect(store.transactCount).toBeGreaterThan(41);
  });
});

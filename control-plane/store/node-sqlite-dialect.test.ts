import { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeSqliteDialect } from "./node-sqlite-dialect.ts";

let database: DatabaseSync;
let db: Kysely<{ things: { id: number; body: Uint8Array | null } }>;

beforeEach(async () => {
  database = new DatabaseSync(":memory:");
  db = new Kysely({ dialect: nodeSqliteDialect(database) });
  await db.schema.createTable("things").addColumn("id", "integer").addColumn("body", "blob").execute();
});

afterEach(() => database.close());

describe("nodeSqliteDialect", () => {
  it("writes and reads values, bytes and nulls among them", async () => {
    const rows = [
      { id: 1, body: new Uint8Array([0, 255]) },
      { id: 2, body: null },
    ];
    const { numInsertedOrUpdatedRows } = await db.insertInto("things").values(rows).executeTakeFirstOrThrow();
    expect(numInsertedOrUpdatedRows).toBe(2n);
    expect(await db.selectFrom("things").selectAll().orderBy("id").execute()).toEqual(rows);
  });

  it("undoes a transaction that fails", async () => {
    const failing = db.transaction().execute(async (transaction) => {
      await transaction.insertInto("things").values({ id: 1, body: null }).execute();
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await db.selectFrom("things").selectAll().execute()).toEqual([]);
  });

  it("leaves the schema as it was when a migration fails halfway", async () => {
    const up = async (db: Kysely<unknown>) => {
      await db.schema.createTable("half").addColumn("id", "integer").execute();
      throw new Error("killed");
    };
    const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ one: { up } }) } });
    expect((await migrator.migrateToLatest()).error).toBeDefined();
    expect((await db.introspection.getTables()).map((table) => table.name)).not.toContain("half");
  });

  it("leaves the database open for its owner", async () => {
    await db.selectFrom("things").selectAll().execute();
    await db.destroy();
    expect(database.isOpen).toBe(true);
  });
});

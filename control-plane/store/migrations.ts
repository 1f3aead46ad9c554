import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

/** Name of the table that says which migrations have run. */
export const migrationTableName = "schema_migrations";

/**
 * Every step of the schema, in the order of the names. A step that was released is never edited:
 * a file in the field has already run it.
 */
export const migrations: Record<string, Migration> = {
  "0001-resources-and-changes": { up: createResourcesAndChanges },
};

async function createResourcesAndChanges(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("resources")
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("body", "blob", (column) => column.notNull())
    .addPrimaryKeyConstraint("resources_pk", ["kind", "id"])
    .execute();
  await db.schema
    .createTable("resource_keys")
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("resource_keys_pk", ["kind", "key"])
    .execute();
  await db.schema.createIndex("resource_keys_by_id").on("resource_keys").columns(["kind", "id"]).execute();
  await db.schema
    .createTable("resource_references")
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("to_kind", "text", (column) => column.notNull())
    .addColumn("to_id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("resource_references_pk", ["kind", "id", "to_kind", "to_id"])
    .execute();
  await db.schema
    .createIndex("resource_references_by_target")
    .on("resource_references")
    .columns(["to_kind", "to_id"])
    .execute();
  await createChanges(db);
  await createMeta(db);
}

async function createChanges(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("changes")
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("publication", "integer", (column) => column.notNull())
    .addColumn("ordinal", "integer", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("operation", "text", (column) => column.notNull())
    .addColumn("before", "blob")
    .addColumn("after", "blob")
    .addColumn("actor", "text", (column) => column.notNull())
    .addColumn("at_unix_ms", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("changes_pk", ["revision", "ordinal"])
    .execute();
}

async function createMeta(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("meta")
    .addColumn("singleton", "integer", (column) => column.primaryKey().check(sql`singleton = 1`))
    .addColumn("epoch_counter", "integer", (column) => column.notNull())
    .addColumn("epoch_id", "blob", (column) => column.notNull())
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("publication", "integer", (column) => column.notNull())
    .addColumn("pruned_revision", "integer", (column) => column.notNull())
    .execute();
}

import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { type Dialect, SqliteAdapter, SqliteDialect } from "kysely";

/**
 * Kysely over an open node:sqlite database. The database stays the caller's: destroying the Kysely instance
 * does not close it.
 */
export function nodeSqliteDialect(database: DatabaseSync): Dialect {
  const dialect = new SqliteDialect({
    database: {
      prepare(sql) {
        const statement = database.prepare(sql);
        return {
          reader: statement.columns().length > 0,
          all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
          run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
          iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
        };
      },
      close() {},
    },
  });
  return {
    createDriver: () => dialect.createDriver(),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createAdapter: () => new TransactionalDdlAdapter(),
  };
}

/**
 * Kysely leaves migrations of SQLite without a transaction, because of PRAGMA foreign_keys, which we do not use.
 * With one, a process killed in the middle of a migration leaves the schema before it.
 */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

import type { Kysely } from "kysely";
import type { PruneRequest } from "./engine-call.ts";
import type { LoggedChange } from "./store.ts";
import type { StoreSchema } from "./store-schema.ts";

/**
 * Changes after a revision, oldest first; null when they are no longer kept.
 * Always whole revisions, so that the last one read is where to go on: at most maxCount changes, or the first
 * revision alone where that one has more.
 */
export async function readChanges(
  db: Kysely<StoreSchema>,
  afterRevision: number,
  maxCount: number,
): Promise<LoggedChange[] | null> {
  const { pruned_revision } = await db.selectFrom("meta").select("pruned_revision").executeTakeFirstOrThrow();
  if (afterRevision < pruned_revision) return null;
  const query = selectChanges(db).where("revision", ">", afterRevision);
  const rows = await query.limit(maxCount + 1).execute();
  if (rows.length <= maxCount) return rows;
  const cutRevision = rows.at(-1)!.revision;
  const whole = rows.filter((row) => row.revision < cutRevision);
  if (whole.length > 0) return whole;
  return selectChanges(db).where("revision", "=", cutRevision).execute();
}

function selectChanges(db: Kysely<StoreSchema>) {
  return db
    .selectFrom("changes")
    .select(["revision", "publication", "kind", "id", "operation", "before", "after", "at_unix_ms as atUnixMs"])
    .orderBy("revision")
    .orderBy("ordinal");
}

/** Changes looked at in one step: a step takes a few milliseconds, and commits go between steps. */
const pruneStepCount = 1_000;

/**
 * Forgets the oldest changes beyond the limits, one step's worth; whole revisions only, so up to one revision
 * more than maxCount stays.
 */
export async function pruneChanges(db: Kysely<StoreSchema>, request: PruneRequest): Promise<{ isDone: boolean }> {
  // The revision in which the count runs out stays whole; without such a row there are not that many.
  const oldestWithinCount = await db
    .selectFrom("changes")
    .select("revision")
    .orderBy("revision", "desc")
    .orderBy("ordinal", "desc")
    .offset(request.maxCount - 1)
    .limit(1)
    .executeTakeFirst();
  const keepFromRevision = Math.min(
    oldestWithinCount?.revision ?? 0,
    (request.keepAfterRevision ?? Number.POSITIVE_INFINITY) + 1,
  );
  const oldest = await db
    .selectFrom("changes")
    .select(["revision", "at_unix_ms"])
    .orderBy("revision")
    .orderBy("ordinal")
    .limit(pruneStepCount)
    .execute();
  const isNeeded = (revision: number) => request.keepAfterRevision !== null && revision > request.keepAfterRevision;
  const kept = oldest.findIndex(
    ({ revision, at_unix_ms }) =>
      isNeeded(revision) || (revision >= keepFromRevision && at_unix_ms >= request.keepSinceUnixMs),
  );
  const last = oldest[(kept === -1 ? oldest.length : kept) - 1];
  if (last === undefined) return { isDone: true };
  await db.transaction().execute(async (transaction) => {
    await transaction.deleteFrom("changes").where("revision", "<=", last.revision).execute();
    await transaction.updateTable("meta").set({ pruned_revision: last.revision }).execute();
  });
  return { isDone: kept !== -1 };
}

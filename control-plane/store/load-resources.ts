import type { Kysely } from "kysely";
import type { LoadedResource, ResourcePosition } from "./engine-call.ts";
import type { StoreSchema } from "./store-schema.ts";

/** Resources in one part: some hundred KB to copy between the threads, and some 10 ms to decode. */
const partCount = 1_000;

/** The part of the state that comes after the given resource, by kind and id; empty at the end. */
export async function loadResources(
  db: Kysely<StoreSchema>,
  after: ResourcePosition | null,
): Promise<readonly LoadedResource[]> {
  const from = after ?? { kind: "", id: "" };
  const rows = await db
    .selectFrom("resources")
    .selectAll()
    .where((eb) => eb(eb.refTuple("kind", "id"), ">", eb.tuple(from.kind as ResourcePosition["kind"], from.id)))
    .orderBy("kind")
    .orderBy("id")
    .limit(partCount)
    .execute();
  const last = rows.at(-1);
  if (last === undefined) return [];
  const keys = await db
    .selectFrom("resource_keys")
    .selectAll()
    .where((eb) => eb(eb.refTuple("kind", "id"), ">", eb.tuple(from.kind as ResourcePosition["kind"], from.id)))
    .where((eb) => eb(eb.refTuple("kind", "id"), "<=", eb.tuple(last.kind, last.id)))
    .execute();
  const references = await db
    .selectFrom("resource_references")
    .selectAll()
    .where((eb) => eb(eb.refTuple("kind", "id"), ">", eb.tuple(from.kind as ResourcePosition["kind"], from.id)))
    .where((eb) => eb(eb.refTuple("kind", "id"), "<=", eb.tuple(last.kind, last.id)))
    .execute();
  const keysOf = Map.groupBy(keys, placeOf);
  const referencesOf = Map.groupBy(references, placeOf);
  return rows.map((row) => ({
    ...row,
    uniqueKeys: (keysOf.get(placeOf(row)) ?? []).map((row) => row.key),
    references: (referencesOf.get(placeOf(row)) ?? []).map((row) => ({ kind: row.to_kind, id: row.to_id })),
  }));
}

function placeOf(row: ResourcePosition): string {
  return `${row.kind} ${row.id}`;
}

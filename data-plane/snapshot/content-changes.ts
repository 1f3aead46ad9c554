import type { Refusal, SnapshotEntity } from "./apply-snapshot.ts";
import { isKnownKind, type KnownKind } from "./decode-entity.ts";
import { type EntityProblem, refusalOf } from "./entity-problem.ts";
import { compareEntities } from "./held-content.ts";

/** The ids of what is new, changed or gone, by kind. */
export type ContentChanges = ReadonlyMap<KnownKind, Set<string>>;

export type ReadChanges =
  | {
      readonly ok: true;
      readonly changes: ContentChanges;
      /** The first list; it shares with the second one what did not change, whoever made the two. */
      readonly before: readonly SnapshotEntity[];
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** Compared in one step: some 20 us. */
const stepEntityCount = 128;

/** Entities by kind and id; a list that is so already is given back as it is. */
export function* sortedEntities(entities: readonly SnapshotEntity[]): Generator<void, readonly SnapshotEntity[]> {
  for (let i = 1; i < entities.length; i++) {
    if (compareEntities(entities[i - 1]!, entities[i]!) > 0) return entities.toSorted(compareEntities);
    if (i % stepEntityCount === 0) yield;
  }
  return entities;
}

/**
 * What differs between two lists of entities, both by kind and id; of the second, that it may be a state at all: it
 * has known kinds only, each entity once, and no more of a kind than the limits say.
 */
export function* contentChanges(
  before: readonly SnapshotEntity[],
  after: readonly SnapshotEntity[],
  limitOf: (kind: KnownKind) => number,
): Generator<void, ReadChanges> {
  const changes = new Map<KnownKind, Set<string>>();
  const note = (kind: string, id: string) => {
    const ids = changes.get(kind as KnownKind) ?? new Set();
    changes.set(kind as KnownKind, ids.add(id));
  };
  const counts = new Map<string, number>();
  const sharing: SnapshotEntity[] = [];
  const noteFormer = (former: SnapshotEntity) => {
    note(former.kind, former.id);
    // It may be part of a message: as such it would keep all of it in memory.
    sharing.push({ ...former, body: former.body.slice() });
  };
  let at = 0;
  for (const [i, entity] of after.entries()) {
    if (i % stepEntityCount === 0) yield;
    const problem = problemOf(entity, after[i - 1], counts, limitOf);
    if (problem !== null) return { ok: false, refusal: refusalOf(problem, entity.kind, entity.id, "") };
    while (at < before.length && compareEntities(before[at]!, entity) < 0) noteFormer(before[at++]!);
    const former = before[at];
    if (former === undefined || compareEntities(former, entity) !== 0) {
      note(entity.kind, entity.id);
      continue;
    }
    at++;
    if (hasSameBody(former, entity)) sharing.push(entity);
    else noteFormer(former);
  }
  while (at < before.length) noteFormer(before[at++]!);
  return { ok: true, changes, before: sharing };
}

function problemOf(
  { kind, id }: SnapshotEntity,
  previous: SnapshotEntity | undefined,
  counts: Map<string, number>,
  limitOf: (kind: KnownKind) => number,
): EntityProblem | null {
  if (!isKnownKind(kind)) {
    return { reason: "unknown_kind", field: "", message: `this version knows no kind ${JSON.stringify(kind)}` };
  }
  const count = (counts.get(kind) ?? 0) + 1;
  counts.set(kind, count);
  const limit = limitOf(kind);
  if (count > limit) return { reason: "limit_exceeded", field: "", message: `more than ${limit} of kind ${kind}` };
  if (id === "") return { reason: "invalid_entity", field: "id", message: "is missing" };
  if (previous !== undefined && previous.kind === kind && previous.id === id) {
    return { reason: "duplicate_entity", field: "id", message: "comes twice" };
  }
  return null;
}

/** Content that came as a delta shares the entities that it did not change. */
function hasSameBody(one: SnapshotEntity, other: SnapshotEntity): boolean {
  return one === other || one.body === other.body || Buffer.compare(one.body, other.body) === 0;
}

/** The entity's place in a list by kind and id; where it is not there, its place if it were. */
export function placeOf(entities: readonly SnapshotEntity[], kind: string, id: string): number {
  let low = 0;
  let high = entities.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareEntities(entities[middle]!, { kind, id }) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The entity in a list by kind and id. */
export function findEntity(entities: readonly SnapshotEntity[], kind: string, id: string): SnapshotEntity | null {
  const entity = entities[placeOf(entities, kind, id)];
  return entity !== undefined && entity.kind === kind && entity.id === id ? entity : null;
}

/** The ids of a kind in a list by kind and id, in order. */
export function* idsOfKind(entities: readonly SnapshotEntity[], kind: KnownKind): Generator<string> {
  for (let at = placeOf(entities, kind, ""); entities[at]?.kind === kind; at++) yield entities[at]!.id;
}

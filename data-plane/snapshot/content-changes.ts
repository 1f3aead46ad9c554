import { countExcess, type HardLimits, maxCountOf } from "../../proto/hard-limits.ts";
import type { Refusal, SnapshotEntity } from "./apply-snapshot.ts";
import { isKnownKind, type KnownKind, knownKinds } from "./decode-entity.ts";
import { type EntityProblem, excessProblem, refusalOf } from "./entity-problem.ts";
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

/**
 * Entities by kind and id; a list that is so already is given back as it is.
 * @param sorted another such list: where it has the same objects, nothing is to be looked at
 */
export function* sortedEntities(
  entities: readonly SnapshotEntity[],
  sorted: readonly SnapshotEntity[],
): Generator<void, readonly SnapshotEntity[]> {
  const { from, to } = differingPart(sorted, entities);
  for (let i = Math.max(from, 1); i < Math.min(to + 1, entities.length); i++) {
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
  limits: Omit<HardLimits, "bodyBytesMax">,
): Generator<void, ReadChanges> {
  const excess = excessOf(after, limits);
  if (excess !== null) return { ok: false, refusal: excess };
  const changes = new Map<KnownKind, Set<string>>();
  const note = (kind: string, id: string) => {
    const ids = changes.get(kind as KnownKind) ?? new Set();
    changes.set(kind as KnownKind, ids.add(id));
  };
  const { from, to, formerTo } = differingPart(before, after);
  const sharing = after.slice(0, from);
  const noteFormer = (former: SnapshotEntity) => {
    note(former.kind, former.id);
    // It may be part of a message: as such it would keep all of it in memory.
    sharing.push({ ...former, body: former.body.slice() });
  };
  let at = from;
  for (let i = from; i < to; i++) {
    const entity = after[i]!;
    if (i % stepEntityCount === 0) yield;
    const problem = problemOf(entity, after[i - 1]);
    if (problem !== null) return { ok: false, refusal: refusalOf(problem, entity.kind, entity.id, "") };
    while (at < formerTo && compareEntities(before[at]!, entity) < 0) noteFormer(before[at++]!);
    const former = at < formerTo ? before[at]! : null;
    if (former === null || compareEntities(former, entity) !== 0) {
      note(entity.kind, entity.id);
      continue;
    }
    at++;
    if (hasSameBody(former, entity)) sharing.push(entity);
    else noteFormer(former);
  }
  while (at < formerTo) noteFormer(before[at++]!);
  for (let i = to; i < after.length; i++) sharing.push(after[i]!);
  return { ok: true, changes, before: sharing };
}

/**
 * Content that came as a delta shares what it did not change, and that is nearly all of it: where the second list has
 * other objects than the first, and to where that goes in the first one. One that both have is in it at its end.
 */
function differingPart(before: readonly SnapshotEntity[], after: readonly SnapshotEntity[]) {
  const shortest = Math.min(before.length, after.length);
  let from = 0;
  while (from < shortest && before[from] === after[from]) from++;
  let same = 0;
  while (same < shortest - from && before[before.length - 1 - same] === after[after.length - 1 - same]) same++;
  same = Math.max(same - 1, 0);
  return { from, to: after.length - same, formerTo: before.length - same };
}

/** The first entity that is one too many of its kind. */
function excessOf(entities: readonly SnapshotEntity[], limits: Omit<HardLimits, "bodyBytesMax">): Refusal | null {
  for (const kind of knownKinds) {
    const max = maxCountOf(kind, limits);
    const one = entities[placeOf(entities, kind, "") + max];
    const excess = one?.kind === kind ? countExcess(kind, max + 1, limits) : null;
    if (excess !== null) return refusalOf(excessProblem(excess), kind, one!.id, "");
  }
  return null;
}

function problemOf({ kind, id }: SnapshotEntity, previous: SnapshotEntity | undefined): EntityProblem | null {
  if (!isKnownKind(kind)) {
    return { reason: "unknown_kind", field: "", message: `this version knows no kind ${JSON.stringify(kind)}` };
  }
  if (id === "") return { reason: "invalid_entity", field: "id", message: "is missing" };
  if (previous !== undefined && previous.kind === kind && previous.id === id) {
    return { reason: "duplicate_entity", field: "id", message: "comes twice" };
  }
  return null;
}

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

import type { StoredKind } from "../resource/checked.ts";
import { SNAPSHOT_KINDS } from "./build-snapshot.ts";
import { nameOfResource } from "./held-versions.ts";
import type { ChangedResource, ResourceVersion } from "./publication-ring.ts";

/** What became of resources since some publication, by `kind/id`. */
export type ChangesSince = ReadonlyMap<string, ChangedResource>;

export interface Names {
  has(name: string): boolean;
}

/** A resource to be held back, and what nodes get in its place; null: nothing. */
export interface HeldBack {
  readonly kind: StoredKind;
  readonly id: string;
  readonly good: ResourceVersion | null;
}

/** What is known of a refusal. */
export interface RefusalFacts {
  readonly nack: {
    readonly publication: number;
    readonly keptPublication: number;
    readonly reason: string;
    readonly entityKind: string;
    readonly entityId: string;
  };
  /** Since what the node went on serving; null where it serves nothing, or that is not known any more. */
  readonly sinceKept: ChangesSince | null;
  /** `sinceKept` is of the store, not of what this node gets: that may have come to be more with its labels. */
  readonly isKeptOfStore: boolean;
  /** Names of what has changed since the refused publication; null where that is not known any more. */
  readonly sinceRefused: Names | null;
  /** Since what each other connected node serves, the newest first. */
  readonly sinceOthers: readonly ChangesSince[];
  /** Nodes that have refused this version of the entity, this one included. */
  readonly refuserCount: number;
  /** Whether nodes are meant to have the entity at all. */
  readonly isThere: boolean;
  /** What is held back by now. */
  readonly held: Names;
  /** The version that was stored before the present one, for what no node is known to have served; null: none. */
  readonly storedBefore: ResourceVersion | null;
}

export type Judgement =
  | { readonly type: "hold"; readonly heldBack: readonly HeldBack[] }
  /** Nothing is held back. */
  | { readonly type: "report"; readonly why: string };

/** The node has found an entity at fault. */
const ENTITY_REASONS: ReadonlySet<string> = new Set([
  ...["unknown_kind", "undecodable_entity", "duplicate_entity", "invalid_entity", "dangling_reference"],
  "limit_exceeded",
]);

/** The content is at fault, and which part of it is not known. */
const CONTENT_REASONS: ReadonlySet<string> = new Set(["workers_lost", "limit_exceeded"]);

/**
 * Decides what a refusal holds back: the entity that the node names or, where the node cannot tell, all that changed
 * between what it kept and what it refused. What went wrong on the way, or for a moment, holds back nothing.
 *
 * One odd node must not take from the others what they serve: where more nodes serve the named version than have
 * refused it, it stays.
 */
export function judgeRefusal(facts: RefusalFacts): Judgement {
  const { nack, sinceRefused } = facts;
  if (sinceRefused === null) return report("the refused publication is not known here");
  if (nack.entityKind !== "" && ENTITY_REASONS.has(nack.reason)) return judgeEntity(facts, sinceRefused);
  if (nack.entityKind === "" && CONTENT_REASONS.has(nack.reason)) return judgeContent(facts, sinceRefused);
  return report(`"${nack.reason}" says nothing against the content`);
}

function judgeEntity(facts: RefusalFacts, sinceRefused: Names): Judgement {
  const { nack, sinceKept, sinceOthers, refuserCount, held, storedBefore } = facts;
  const { entityKind, entityId: id } = nack;
  const kind = SNAPSHOT_KINDS.find((known) => known === entityKind);
  if (kind === undefined || !facts.isThere) return report("there is no such resource");
  const name = nameOfResource({ kind, id });
  if (sinceRefused.has(name)) return report("it has changed since");
  const servingCount = sinceOthers.filter((changes) => !changes.has(name)).length;
  if (servingCount > refuserCount) return report(`${servingCount} other nodes serve it, ${refuserCount} refused it`);
  // What stood in for a refused version was refused as well: going back and forth between the two would never end.
  if (held.has(name)) return hold([{ kind, id, good: null }]);
  const kept = sinceKept?.get(name);
  if (kept !== undefined) return hold([{ kind, id, good: kept.before }]);
  // The node could live with this entity before: something else has made it unacceptable.
  const changed = facts.isKeptOfStore ? [] : changedSinceKept(facts, sinceRefused);
  if (changed.length > 0) return hold(changed);
  const served = sinceOthers.find((changes) => changes.has(name))?.get(name);
  return hold([{ kind, id, good: served === undefined ? storedBefore : served.before }]);
}

function judgeContent(facts: RefusalFacts, sinceRefused: Names): Judgement {
  if (facts.sinceKept === null) return report("what the node serves is not known here");
  const changed = changedSinceKept(facts, sinceRefused);
  if (changed.length === 0) return report("nothing that changed since what the node serves is still there");
  return hold(changed);
}

/** What changed between what was kept and what was refused, and is still so; what is held back already is good. */
function changedSinceKept({ sinceKept, held }: RefusalFacts, sinceRefused: Names): HeldBack[] {
  const changed = [...(sinceKept ?? [])].filter(([name]) => !sinceRefused.has(name) && !held.has(name));
  changed.sort(([left], [right]) => (left < right ? -1 : 1));
  return changed.map(([, { kind, id, before }]) => ({ kind, id, good: before }));
}

function hold(heldBack: readonly HeldBack[]): Judgement {
  return { type: "hold", heldBack };
}

function report(why: string): Judgement {
  return { type: "report", why };
}

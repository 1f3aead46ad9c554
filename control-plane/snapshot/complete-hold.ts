import type { Kind, StoredKind } from "../resource/checked.ts";
import { rulesOfKind } from "../resource/rules-of-kind.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { findDanglingReferences, SNAPSHOT_KINDS } from "./build-snapshot.ts";
import { nameOfResource, storedVersion } from "./held-versions.ts";
import type { HeldBack } from "./judge-refusal.ts";
import type { ResourceVersion } from "./publication-ring.ts";
import { type ResourceReader, type Substitutes, substituted } from "./quarantine-view.ts";

export interface HoldContext {
  /** What is stored. */
  readonly stored: ResourceReader;
  /** What is held back already. */
  readonly held: Substitutes;
  /** What nodes served of a resource before; null: not there; undefined: the same as now, or not known. */
  goodOf(kind: StoredKind, id: string): ResourceVersion | null | undefined;
}

/**
 * What has to be held back beside some resources so that what is left is consistent: nothing refers to what is not
 * there, and no two have the same name. Each dependant gets its own last good version; where that refers to what was
 * deleted since, the deletion is held back, too; what has no good version is left out.
 *
 * Cost: for each round of dependants, one look at all resources; 20 ms for 20,000.
 */
export function dependantsOf(heldBack: readonly HeldBack[], { stored, held, goodOf }: HoldContext): HeldBack[] {
  const substitutes = new Map(held);
  const dependants = new Map<string, HeldBack>();
  const add = (one: HeldBack, into: Map<string, HeldBack> | null) => {
    const name = nameOfResource(one);
    const good = one.good === null ? null : storedVersion(one.kind, one.id, one.good.body, one.good.revision);
    substitutes.set(name, { good });
    into?.set(name, one);
  };
  for (const one of heldBack) add(one, null);
  const settled = new Set([...substitutes.keys()]);
  for (;;) {
    const state = substituted(stored, substitutes);
    const next = [...missingIn(state, { stored, held, goodOf }, settled), ...doublesIn(state, goodOf, settled)];
    if (next.length === 0) return [...dependants.values()];
    for (const one of next) {
      settled.add(nameOfResource(one));
      add(one, dependants);
    }
  }
}

/** For each reference to nothing, what to do about it. @param settled what is held back, and so stays as it is */
function missingIn(state: ResourceReader, { stored, goodOf }: HoldContext, settled: ReadonlySet<string>): HeldBack[] {
  return findDanglingReferences(allOf(state), state).map(({ kind, id, toKind, toId }): HeldBack => {
    const isSettled = settled.has(nameOfResource({ kind, id }));
    const good = isSettled ? undefined : goodOf(kind, id);
    if (good !== undefined) return { kind, id, good };
    const isDeleted =
      stored.get(toKind, toId) === undefined && !settled.has(nameOfResource({ kind: toKind, id: toId }));
    const deleted = isDeleted ? goodOf(toKind, toId) : undefined;
    return deleted == null ? { kind, id, good: null } : { kind: toKind, id: toId, good: deleted };
  });
}

/** Of resources with the same name, those to be held back: what came last has to wait. */
function doublesIn(
  state: ResourceReader,
  goodOf: HoldContext["goodOf"],
  settled: ReadonlySet<string>,
): readonly HeldBack[] {
  const doubles: HeldBack[] = [];
  const owners = new Map<string, StoredResource>();
  for (const kind of SNAPSHOT_KINDS) {
    if (!Object.hasOwn(rulesOfKind, kind)) continue;
    const { uniqueKeys } = rulesOfKind[kind as Kind];
    for (const resource of state.all(kind)) {
      for (const { key } of uniqueKeys(resource.message as never)) {
        const owner = owners.get(`${kind} ${key}`);
        if (owner === undefined) owners.set(`${kind} ${key}`, resource);
        else {
          const later = settled.has(nameOfResource(resource)) ? owner : resource;
          const good = settled.has(nameOfResource(later)) ? null : (goodOf(kind, later.id) ?? null);
          doubles.push({ kind, id: later.id, good });
        }
      }
    }
  }
  return doubles;
}

function* allOf(state: ResourceReader): Generator<StoredResource> {
  for (const kind of SNAPSHOT_KINDS) yield* state.all(kind);
}

import type { Checked, Kind, Problem } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { storedOnlyWarnings } from "../resource/stored-only-warnings.ts";
import type { StoreConflict } from "../store/store.ts";
import { duplicateId, duplicateKey, type PreparedWrite } from "./prepare-write.ts";
import { danglingReference } from "./resolve-references.ts";
import type { Written } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";
import { showResource } from "./show-resource.ts";
import { skewWarnings } from "./skew-warnings.ts";
import { withTicketKey } from "./ticket-key.ts";

/** Times that a write is decided anew because the state changed under it. */
export const triesMaxCount = 5;

/** Who the change log names until callers have identities. */
export const actor = "admin";

/** A write that the process cannot take now. Nothing was written. */
export function unavailable(message: string): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems: [{ code: "unavailable", field: "", message }] };
}

export const tooManyWaiting = "too many writes wait already; try again";
export const changedTooOften = `others changed the same at each of ${triesMaxCount} tries; try again`;

/**
 * Commits what `prepare` decides on the committed state. When the store finds that the state has changed since, the
 * write is decided anew, so that a conflict ends in the answer that fits the new state: none is lost, none overwritten.
 */
export async function commitWrite<K extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<K>,
  prepare: () => Checked<PreparedWrite<K>>,
): Promise<Checked<Written<ResourceOf[K]>>> {
  for (let tries = 1; ; tries++) {
    const prepared = prepare();
    if (!prepared.ok) return prepared;
    const { write, also } = prepared.value;
    const writes = withTicketKey(context.store.image, [write, ...also], context.clock());
    const outcome = await context.store.transact(writes, actor);
    if (outcome.ok) return { ok: true, value: written(context, definition, prepared.value, outcome.revision) };
    const { conflict } = outcome;
    if (conflict.type === "unavailable") return unavailable(conflict.message);
    // The image of a replica may be behind the store for longer than the tries take: then the store's word is final.
    if (tries === triesMaxCount) return refused(definition, prepared.value, conflict);
  }
}

function written<K extends Kind>(
  { store: { image }, clock, whoLacks }: AdminContext,
  definition: ResourceDefinition<K>,
  { write, message, paths }: PreparedWrite<K>,
  revision: number,
): Written<ResourceOf[K]> {
  const { kind, schema, defaults } = definition.rules;
  return {
    resource: showResource(definition, image, { message, revision }),
    revision,
    warnings: [
      ...storedOnlyWarnings(kind, schema, { message, paths }, defaults),
      ...(definition.warnings?.(message, paths, { image, nowMs: clock() }) ?? []),
      ...(whoLacks === null ? [] : skewWarnings(kind, message, whoLacks)),
    ],
    isCreated: write.operation === "create",
  };
}

function refused<K extends Kind>(
  { rules }: ResourceDefinition<K>,
  { write, uniqueKeys }: PreparedWrite<K>,
  conflict: StoreConflict,
): Checked<never> {
  // What is about the writes beside the resource's own, the client has not asked for by name.
  if (conflict.type !== "unavailable" && conflict.write > 0) return unavailable(changedTooOften);
  if (conflict.type === "duplicate_id") return { ok: false, problems: [duplicateId(write.id)] };
  if (conflict.type === "duplicate_key") {
    const taken = uniqueKeys.find(({ key }) => key === conflict.key);
    if (taken !== undefined) return { ok: false, problems: [duplicateKey(taken)] };
  }
  if (conflict.type === "dangling_reference") {
    const to = rules.references.find(({ toKind }) => toKind === conflict.kind);
    if (to !== undefined) return { ok: false, problems: [danglingReference(to, to.path, conflict.id)] };
  }
  return unavailable(changedTooOften);
}

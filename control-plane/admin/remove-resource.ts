import type { Checked, Kind, Problem } from "../resource/checked.ts";
import type { ResourceWrite } from "../store/store.ts";
import { actor, changedTooOften, triesMaxCount, unavailable } from "./commit-write.ts";
import { deletion } from "./deletion.ts";
import { findResource } from "./find-resource.ts";
import type { ResourceKey } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";
import { withTicketKey } from "./ticket-key.ts";
import { inTurn, staleEtag } from "./write-resource.ts";

/** Deletes a resource and, in the same transaction, those that go with it. */
export function removeResource<K extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
  etag: string | undefined,
): Promise<Checked<{ readonly revision: number }>> {
  return inTurn(context, definition, key, async () => {
    for (let tries = 1; tries <= triesMaxCount; tries++) {
      const decided = decideRemoval(context, definition, key, etag);
      if (!decided.ok) return decided;
      const outcome = await context.store.transact(
        withTicketKey(context.store.image, decided.value, context.clock()),
        actor,
      );
      if (outcome.ok) return { ok: true, value: { revision: outcome.revision } };
      if (outcome.conflict.type === "unavailable") return unavailable(outcome.conflict.message);
      // Anything else means that a referrer came or went, or the resource changed: look again.
    }
    return unavailable(changedTooOften);
  });
}

function decideRemoval<K extends Kind>(
  { store: { image } }: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
  etag: string | undefined,
): Checked<readonly ResourceWrite[]> {
  const found = findResource(image, definition, key);
  if (!found.ok) return found;
  const stored = found.value;
  const stale = staleEtag(etag, stored);
  if (stale !== null) return stale;
  // Without an etag any version may go; with one, only the version that it names.
  const own = deletion(stored, etag === undefined || etag === "" ? null : stored.revision);
  const writes: ResourceWrite[] = [];
  for (const { kind, collection, onDelete } of definition.referrers) {
    const referrers = [...image.referrers(kind, definition.rules.kind, stored.id)];
    const first = referrers[0];
    if (onDelete === "refuse" && first !== undefined)
      return { ok: false, problems: [stillReferenced(definition, collection, { kind, id: first.id })] };
    // With another revision it may have come to belong to another resource: then all is decided anew.
    for (const child of referrers) writes.push(deletion(child, child.revision));
  }
  return { ok: true, value: [...writes, own] };
}

function stillReferenced<K extends Kind>(
  { rules }: ResourceDefinition<K>,
  collection: string,
  by: NonNullable<Problem["resource"]>,
): Problem {
  const message = `an existing '${collection}' entity references this '${rules.collection}' entity`;
  return { code: "still_referenced", field: "", message, resource: by };
}

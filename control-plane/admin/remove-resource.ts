import type { Checked, Kind, Problem } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { actor, changedTooOften, triesMaxCount, unavailable } from "./commit-write.ts";
import { deletion } from "./deletion.ts";
import { findResource } from "./find-resource.ts";
import type { ResourceKey } from "./resource-admin.ts";
import type { AdminContext, Referrer, ResourceDefinition } from "./resource-definition.ts";
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
  const dependents = deleteReferrers(image, definition.rules.collection, stored, definition.referrers);
  return dependents.ok ? { ok: true, value: [...dependents.value, own] } : dependents;
}

/** The deletions that go with one, what refers to others first. */
function deleteReferrers(
  image: ResourceImage,
  collection: string,
  { kind, id }: StoredResource,
  referrers: readonly Referrer[],
): Checked<readonly ResourceWrite[]> {
  const writes: ResourceWrite[] = [];
  for (const referrer of referrers) {
    for (const child of image.referrers(referrer.kind, kind, id)) {
      if (referrer.onDelete === "refuse")
        return { ok: false, problems: [stillReferenced(collection, referrer, child.id)] };
      const grandchildren = deleteReferrers(image, collection, child, referrer.referrers ?? []);
      if (!grandchildren.ok) return grandchildren;
      // With another revision it may have come to belong to another resource: then all is decided anew.
      writes.push(...grandchildren.value, deletion(child, child.revision));
    }
  }
  return { ok: true, value: writes };
}

function stillReferenced(
  collection: string,
  by: Extract<Referrer, { readonly onDelete: "refuse" }>,
  id: string,
): Problem {
  const message = `an existing '${by.collection}' entity references this '${collection}' entity`;
  return { code: "still_referenced", field: "", message, resource: { kind: by.kind, id } };
}

import type { Checked, Kind } from "../resource/checked.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { actor, changedTooOften, triesMaxCount, unavailable } from "./commit-write.ts";
import { findResource } from "./find-resource.ts";
import type { ResourceKey } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";
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
      const outcome = await context.store.transact(decided.value, actor);
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
  const { referrer, rules } = definition;
  if (referrer === null) return { ok: true, value: [own] };
  const referrers = [...image.referrers(referrer.kind, rules.kind, stored.id)];
  const first = referrers[0];
  if (referrer.onDelete === "refuse" && first !== undefined)
    return {
      ok: false,
      problems: [
        {
          code: "still_referenced",
          field: "",
          message: `an existing '${referrer.collection}' entity references this '${rules.collection}' entity`,
          resource: { kind: referrer.kind, id: first.id },
        },
      ],
    };
  return { ok: true, value: [...referrers.map((child) => deletion(child, null)), own] };
}

function deletion({ kind, id }: StoredResource, expectedRevision: number | null): ResourceWrite {
  return { kind, id, operation: "delete", body: new Uint8Array(), expectedRevision, uniqueKeys: [], references: [] };
}

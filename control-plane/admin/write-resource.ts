import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ReferenceSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Checked, Kind, Problem } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";
import { localNameOf, valueAt } from "../resource/message-fields.ts";
import { keptOwnFields } from "../resource/own-fields.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { changedTooOften, commitWrite, tooManyWaiting, triesMaxCount, unavailable } from "./commit-write.ts";
import { etagOf } from "./etag.ts";
import { findParent, findResource } from "./find-resource.ts";
import { prepareWrite } from "./prepare-write.ts";
import type { ResourceKey, Written } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";

/** Creates a resource with the draft's id, or with a new one. */
export function createResource<K extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<K>,
  draft: Draft<ResourceOf[K]>,
  parent: string | undefined,
): Promise<Checked<Written<ResourceOf[K]>>> {
  const id = draft.paths.includes("id") && draft.message.id !== "" ? draft.message.id : randomUUID();
  // Creates wait for no other write: what they collide in, the store finds.
  return commitWrite(context, definition, () => {
    const fixed = fixedParent(context, definition, draft, parent);
    if (!fixed.ok) return fixed;
    const request = { draft, mode: "whole" as const, stored: null, id, fixed: fixed.value };
    return prepareWrite(context, definition, request);
  });
}

/** Replaces a resource, and creates it where it is absent and its kind allows that. */
export function replaceResource<K extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
  draft: Draft<ResourceOf[K]>,
): Promise<Checked<Written<ResourceOf[K]>>> {
  const newId = isUuid(key.key) ? key.key : randomUUID();
  return inTurn(context, definition, key, () =>
    commitWrite(context, definition, () => {
      const found = findOrNull(context, definition, key);
      if (!found.ok) return found;
      const stored = found.value;
      const stale = stored === null ? null : staleEtag(draft.message.etag, stored);
      if (stale !== null) return stale;
      const parent = fixedParent(context, definition, draft, key.parent);
      if (!parent.ok) return parent;
      const replaced = { address: key.key, stored: stored?.message ?? null, draft };
      const own = keptOwnFields(definition.rules, replaced.stored, draft.paths);
      const fixed = { ...own, ...definition.keptByReplace(replaced), ...parent.value };
      const request = { draft, mode: "whole" as const, stored, id: stored?.id ?? newId, fixed };
      return prepareWrite(context, definition, request);
    }),
  );
}

/** Sets the draft's paths on a resource that is there. */
export function updateResource<K extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
  draft: Draft<ResourceOf[K]>,
): Promise<Checked<Written<ResourceOf[K]>>> {
  return inTurn(context, definition, key, (find) =>
    commitWrite(context, definition, () => {
      const found = find();
      if (!found.ok) return found;
      const stale = staleEtag(draft.message.etag, found.value);
      if (stale !== null) return stale;
      const request = { draft, mode: "update" as const, stored: found.value, id: found.value.id, fixed: {} };
      return prepareWrite(context, definition, request);
    }),
  );
}

/**
 * Runs a write to one resource after those that came before it. Found anew when its turn comes.
 * @param task gets the way to find the resource as it is at the moment of asking
 */
export async function inTurn<K extends Kind, T>(
  { store, queue }: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
  task: (find: () => Checked<StoredResource<K>>) => Promise<Checked<T>>,
): Promise<Checked<T>> {
  const find = findAtRevision(store.image, definition, key);
  const turnName = () => {
    const found = find();
    return `${definition.rules.kind} ${found.ok ? found.value.id : `${key.parent ?? ""}/${key.key}`}`;
  };
  for (let tries = 1; tries <= triesMaxCount; tries++) {
    const name = turnName();
    // What was absent may be there by now: its writes wait in another line, and two lines would go on to collide. This
    // one is left before the other is joined, so that no two wait for each other.
    const hasMoved = () => turnName() !== name && tries < triesMaxCount;
    const result = await queue.run(name, async () => (hasMoved() ? "moved" : await task(find)));
    if (result === null) return unavailable(tooManyWaiting);
    if (result !== "moved") return result;
  }
  return unavailable(changedTooOften);
}

/** Finds a resource, and looks for it again only when something was committed since. */
function findAtRevision<K extends Kind>(
  image: ResourceImage,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
): () => Checked<StoredResource<K>> {
  let found = findResource(image, definition, key);
  let { revision } = image;
  return () => {
    if (image.revision !== revision) {
      found = findResource(image, definition, key);
      revision = image.revision;
    }
    return found;
  };
}

/** The problem of a write that was made for another version of the resource; null when there is none. */
export function staleEtag(
  etag: string | undefined,
  stored: StoredResource,
): { readonly ok: false; readonly problems: readonly Problem[] } | null {
  if (etag === undefined || etag === "" || etag === etagOf(stored.revision)) return null;
  const message = `the resource has changed: its etag is '${etagOf(stored.revision)}' by now`;
  return { ok: false, problems: [{ code: "stale_etag", field: "etag", message }] };
}

/** What a replace finds: null where it is to create. */
function findOrNull<K extends Kind>(
  { store }: AdminContext,
  definition: ResourceDefinition<K>,
  key: ResourceKey,
): Checked<StoredResource<K> | null> {
  const found = findResource(store.image, definition, key);
  if (found.ok || !definition.isCreatedByReplace(key.key)) return found;
  // Below a parent, an id that is taken by another parent's resource must not be created again.
  const isElsewhere = isUuid(key.key) && store.image.get(definition.rules.kind, key.key) !== undefined;
  const hasParent = findParent(store.image, definition as unknown as ResourceDefinition, key.parent).ok;
  return hasParent && !isElsewhere ? { ok: true, value: null } : found;
}

/** The reference to the parent that the address names, as a field; a draft that names another one is refused. */
function fixedParent<K extends Kind>(
  { store }: AdminContext,
  definition: ResourceDefinition<K>,
  draft: Draft<ResourceOf[K]>,
  parent: string | undefined,
): Checked<Partial<ResourceOf[K]>> {
  const found = findParent(store.image, definition as unknown as ResourceDefinition, parent);
  if (!found.ok) return found;
  if (found.value === null) return { ok: true, value: {} };
  const { field } = definition.parent!;
  const { id, message } = found.value;
  const drafted = draft.paths.includes(field)
    ? (valueAt(definition.rules.schema, draft.message, field) as { id: string; name: string } | undefined)
    : undefined;
  const isOther = drafted !== undefined && (drafted.id !== "" ? drafted.id !== id : drafted.name !== nameOf(message));
  if (isOther)
    return {
      ok: false,
      problems: [{ code: "invalid", field, message: "differs from the one that the address names" }],
    };
  return {
    ok: true,
    value: { [localNameOf(definition.rules.schema, field)]: create(ReferenceSchema, { id }) } as Partial<ResourceOf[K]>,
  };
}

const nameOf = (message: object): string | undefined => (message as { name?: string }).name;

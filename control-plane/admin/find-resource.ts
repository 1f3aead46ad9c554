import type { Checked, Kind, Problem } from "../resource/checked.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { ResourceKey } from "./resource-admin.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** The parent that a request names: null when it names none. A missing one is the request's own not_found. */
export function findParent(
  image: ResourceImage,
  definition: ResourceDefinition,
  parent: string | undefined,
): Checked<StoredResource | null> {
  if (definition.parent === null || parent === undefined) {
    if (definition.parent?.isRequired !== true) return { ok: true, value: null };
    return notFound();
  }
  const { kind } = definition.parent;
  const found = isUuid(parent) ? image.get(kind, parent) : image.getByKey(kind, `name:${parent}`);
  return found === undefined ? notFound({ kind, id: parent }) : { ok: true, value: found };
}

/**
 * The resource that a key names, within its parent where it names one. What looks like an id is one: a name of that
 * form does not find its resource, as in Kong.
 */
export function findResource<K extends Kind>(
  image: ResourceImage,
  definition: ResourceDefinition<K>,
  { key, parent }: ResourceKey,
): Checked<StoredResource<K>> {
  const foundParent = findParent(image, definition as unknown as ResourceDefinition, parent);
  if (!foundParent.ok) return foundParent;
  const parentId = foundParent.value?.id ?? null;
  const { kind } = definition.rules;
  const found = isUuid(key) ? image.get(kind, key) : image.getByKey(kind, definition.uniqueKeyOf(key, parentId));
  if (found === undefined || (parentId !== null && parentIdOf(definition, found) !== parentId)) return notFound();
  return { ok: true, value: found };
}

function parentIdOf<K extends Kind>(definition: ResourceDefinition<K>, stored: StoredResource<K>): string | undefined {
  const reference = (stored.message as unknown as Record<string, { id: string } | undefined>)[definition.parent!.field];
  return reference?.id;
}

function notFound(resource?: Problem["resource"]): { readonly ok: false; readonly problems: readonly Problem[] } {
  const problem: Problem = { code: "not_found", field: "", message: "Not found" };
  return { ok: false, problems: [resource === undefined ? problem : { ...problem, resource }] };
}

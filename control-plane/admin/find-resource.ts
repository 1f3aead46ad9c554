import type { Checked, Kind, Problem } from "../resource/checked.ts";
import { valueAt } from "../resource/message-fields.ts";
import { normalizeServerName } from "../resource/sni.ts";
import { targetKey } from "../resource/target.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { ResourceKey } from "./resource-admin.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

type FindByName<K extends Kind> = (
  image: ResourceImage,
  name: string,
  parentId: string | null,
) => StoredResource<K> | undefined;

/** How each kind is found by what an address names in place of an id. */
const findByName: { readonly [K in Kind]: FindByName<K> } = {
  upstream: (image, name) => image.getByKey("upstream", `name:${name}`),
  target: (image, name, upstreamId) => image.getByKey("target", targetKey(upstreamId ?? "", name)),
  service: (image, name) => image.getByKey("service", `name:${name}`),
  route: (image, name) => image.getByKey("route", `name:${name}`),
  certificate: (image, name) => {
    const sni = findByName.sni(image, name, null);
    return sni === undefined ? undefined : image.get("certificate", sni.message.certificate!.id);
  },
  sni: (image, name) => image.getByKey("sni", `name:${normalizeServerName(name)}`),
  ca_certificate: () => undefined,
};

/** The parent that a request names: null when it names none. A missing one is the request's own not_found. */
export function findParent(
  image: ResourceImage,
  definition: ResourceDefinition,
  parent: string | undefined,
): Checked<StoredResource | null> {
  if (definition.parent === null || parent === undefined) {
    if (definition.parent?.isRequired !== true) return { ok: true, value: null };
    return notFound(definition.rules.kind, "");
  }
  const { kind } = definition.parent;
  const found = isUuid(parent) ? image.get(kind, parent) : findByName[kind](image, parent, null);
  return found === undefined ? notFound(kind, parent, { kind, id: parent }) : { ok: true, value: found };
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
  const found = isUuid(key) ? image.get(kind, key) : findByName[kind](image, key, parentId);
  if (found === undefined || (parentId !== null && parentIdOf(definition, found) !== parentId))
    return notFound(kind, key);
  return { ok: true, value: found };
}

function parentIdOf<K extends Kind>(definition: ResourceDefinition<K>, stored: StoredResource<K>): string | undefined {
  const { schema } = definition.rules;
  return (valueAt(schema, stored.message, definition.parent!.field) as { id: string } | undefined)?.id;
}

/** @param key by which it was looked for: what was meant by a server name is said in Kong's words */
function notFound(
  kind: Kind,
  key: string,
  resource?: Problem["resource"],
): { readonly ok: false; readonly problems: readonly Problem[] } {
  const message = kind === "certificate" && !isUuid(key) ? "SNI not found" : "Not found";
  const problem: Problem = { code: "not_found", field: "", message };
  return { ok: false, problems: [resource === undefined ? problem : { ...problem, resource }] };
}

import type { Message } from "@bufbuild/protobuf";
import type { Kind } from "./checked.ts";
import type { ResourceOf } from "./draft.ts";
import { valueAt } from "./message-fields.ts";
import type { ResourceRules } from "./resource-rules.ts";

/** Top-level fields that Kong does not have, so that its clients neither read nor send them. */
const ownFields: Readonly<Record<Kind, readonly string[]>> = {
  upstream: ["resilience", "weight_basis", "balancing", "node_selector"],
  target: ["priority", "zone", "max_in_flight"],
  service: ["node_selector"],
  route: ["limits", "retry", "node_selector"],
  certificate: ["client_authentication"],
  sni: [],
  ca_certificate: [],
};

/**
 * What a replace keeps of the resource that it replaces: each field of our own that its client says nothing about. A
 * client of Kong writes back all that it knows, which must not wipe out what it cannot know. One that names the field,
 * be it as null, or anything in it, decides the whole of it.
 */
export function keptOwnFields<K extends Kind>(
  rules: ResourceRules<K>,
  stored: ResourceOf[K] | null,
  paths: readonly string[],
): Partial<ResourceOf[K]> {
  if (stored === null) return {};
  const kept: Record<string, unknown> = {};
  for (const name of ownFields[rules.kind]) {
    const isSaid = paths.some((path) => path === name || path.startsWith(`${name}.`));
    const field = rules.schema.fields.find((candidate) => candidate.name === name)!;
    if (!isSaid) kept[field.localName] = valueAt(rules.schema, stored as Message, name);
  }
  return kept as Partial<ResourceOf[K]>;
}

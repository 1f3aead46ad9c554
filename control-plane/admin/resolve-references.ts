import { create } from "@bufbuild/protobuf";
import { type Reference, ReferenceSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Kind, Problem } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { valueAt } from "../resource/message-fields.ts";
import { invalid } from "../resource/problems.ts";
import type { ReferenceField, ResourceRules } from "../resource/resource-rules.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";

export interface Resolved<T> {
  /** The message with every reference by id, as it is stored. */
  readonly message: T;
  readonly references: ResourceWrite["references"];
  readonly problems: readonly Problem[];
}

/** Follows every reference of a resource: names become ids, and what points to nothing is a problem. */
export function resolveReferences<K extends Kind>(
  image: ResourceImage,
  rules: ResourceRules<K>,
  message: ResourceOf[K],
): Resolved<ResourceOf[K]> {
  const resolved: Record<string, Reference> = {};
  const references: { kind: Kind; id: string }[] = [];
  const problems: Problem[] = [];
  for (const to of rules.references) {
    const value = valueAt(rules.schema, message, to.path) as Reference | readonly string[] | undefined;
    if (value === undefined) continue;
    if (!("$typeName" in value)) {
      const there = value.filter((id) => isThere(image, to, id));
      references.push(...there.map((id) => ({ kind: to.toKind, id })));
      if (there.length < value.length) problems.push(...danglingIds(image, to, value));
      continue;
    }
    const found = followReference(image, to, value);
    if (typeof found !== "string") problems.push(found);
    else {
      const field = rules.schema.fields.find((candidate) => candidate.name === to.path)!;
      resolved[field.localName] = create(ReferenceSchema, { id: found });
      references.push({ kind: to.toKind, id: found });
    }
  }
  return { message: { ...message, ...resolved }, references, problems };
}

/** The id that a reference stands for, or what is wrong with it. An id counts more than a name beside it. */
function followReference(image: ResourceImage, to: ReferenceField, { id, name }: Reference): string | Problem {
  if (id !== "") {
    if (!isUuid(id)) return invalid(`${to.path}.id`, "expected a valid UUID");
    return isThere(image, to, id) ? id : danglingReference(to, to.path, id);
  }
  if (name === "") return invalid(to.path, "required field missing");
  const found = image.getByKey(to.toKind, `name:${name}`);
  if (found !== undefined) return found.id;
  return {
    code: "unresolved_reference",
    field: `${to.path}.name`,
    message: `the foreign key cannot be resolved with '{name="${name}"}' for an existing '${to.toCollection}' entity`,
  };
}

/** Those of a list of ids that point to nothing; what is no id at all is told by the field's rules. */
function danglingIds(image: ResourceImage, to: ReferenceField, ids: readonly string[]): readonly Problem[] {
  return ids.flatMap((id, i) =>
    isUuid(id) && !isThere(image, to, id) ? [danglingReference(to, `${to.path}.${i}`, id)] : [],
  );
}

function isThere(image: ResourceImage, { toKind }: ReferenceField, id: string): boolean {
  return image.get(toKind, id) !== undefined;
}

/** Kong's message about a reference by id that points to nothing. */
export function danglingReference(
  to: Pick<ReferenceField, "toKind" | "toCollection">,
  field: string,
  id: string,
): Problem {
  return {
    code: "dangling_reference",
    field,
    message: `the foreign key '{id="${id}"}' does not reference an existing '${to.toCollection}' entity.`,
    resource: { kind: to.toKind, id },
  };
}

import { type DescMessage, isFieldSet, type Message } from "@bufbuild/protobuf";
import type { Problem } from "../../resource/checked.ts";
import { isLeaf, leafFields } from "../../resource/message-fields.ts";

/** Set by the server: read by nobody on a write, so naming them is allowed and means nothing. */
const serverSetFields: ReadonlySet<string> = new Set(["created_at", "updated_at", "etag"]);

/** Paths of every leaf that is present in a resource, as Draft.paths wants them. */
export function presentPaths(schema: DescMessage, message: Message, prefix = ""): string[] {
  return schema.fields.flatMap((field) => {
    if (serverSetFields.has(prefix + field.name) || !isFieldSet(message, field)) return [];
    const path = prefix + field.name;
    if (isLeaf(field)) return [path];
    const record = (message as unknown as Record<string, Message>)[field.localName]!;
    return presentPaths(field.message!, record, `${path}.`);
  });
}

/** A field mask, understood. */
export interface MaskedPaths {
  readonly paths: readonly string[];
  /** Says which paths of the mask name nothing; null when each names something. */
  readonly problem: Problem | null;
}

/** Expands a field mask to leaves: a path that names a record stands for all that is in it, "*" for everything. */
export function maskedPaths(schema: DescMessage, mask: readonly string[]): MaskedPaths {
  const leaves = leafFields(schema).map(({ path }) => path);
  const chosen = new Set<string>();
  const unknown: string[] = [];
  for (const path of mask) {
    const matching = path === "*" ? leaves : leaves.filter((leaf) => leaf === path || leaf.startsWith(`${path}.`));
    if (matching.length === 0) unknown.push(JSON.stringify(path));
    for (const leaf of matching) chosen.add(leaf);
  }
  return {
    paths: [...chosen].filter((leaf) => !serverSetFields.has(leaf)),
    problem: unknown.length === 0 ? null : noSuchFields(unknown),
  };
}

function noSuchFields(names: readonly string[]): Problem {
  return { code: "invalid", field: "update_mask", message: `names fields that do not exist: ${names.join(", ")}` };
}

import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import type { Kind, Problem } from "./checked.ts";
import type { ResourceOf } from "./draft.ts";
import { fieldRuleProblems } from "./field-rules.ts";
import { leafFields, valueAt } from "./message-fields.ts";
import { firstPerField, invalid } from "./problems.ts";
import type { CheckContext, ResourceRules } from "./resource-rules.ts";

/**
 * Everything that is wrong with a resource by itself: required fields, the proto's rules, and the kind's own. Whether
 * its references point somewhere and its unique keys are free takes the other resources, and is not asked here.
 */
export function checkResource<K extends Kind>(
  rules: ResourceRules<K>,
  message: ResourceOf[K],
  context: CheckContext<ResourceOf[K]>,
): readonly Problem[] {
  return firstPerField([
    ...missingFields(rules, message),
    ...brokenTexts(rules.schema, message),
    ...fieldRuleProblems(rules.schema, message),
    ...rules.check(message, context),
  ]);
}

function missingFields<K extends Kind>(rules: ResourceRules<K>, message: ResourceOf[K]): readonly Problem[] {
  const missing: string[] = [];
  for (const path of rules.required) {
    const value = valueAt(rules.schema, message, path);
    const isMissing = value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
    // A record that is missing is told once, not again for all that is in it.
    if (isMissing && !missing.some((parent) => path.startsWith(`${parent}.`))) missing.push(path);
  }
  return missing.map((path) => invalid(path, "required field missing"));
}

/** Numbers, enums, times and bytes hold none; other messages, lists and maps may. */
function mayHoldText({ fieldKind, scalar, message }: DescField): boolean {
  if (fieldKind === "scalar") return scalar === ScalarType.STRING;
  return fieldKind !== "enum" && message?.typeName.startsWith("google.protobuf.") !== true;
}

/** JSON can carry half a surrogate pair, which UTF-8, and so the store, cannot. */
function brokenTexts(schema: DescMessage, message: Message): readonly Problem[] {
  return textPaths(schema)
    .filter((path) => isBroken(valueAt(schema, message, path)))
    .map((path) => invalid(path, "invalid utf-8 character sequence"));
}

/** Those that were asked for. */
const knownTextPaths = new WeakMap<DescMessage, readonly string[]>();

function textPaths(schema: DescMessage): readonly string[] {
  let paths = knownTextPaths.get(schema);
  if (paths === undefined) {
    const leaves = leafFields(schema).filter(({ field }) => mayHoldText(field));
    paths = leaves.map(({ path }) => path);
    knownTextPaths.set(schema, paths);
  }
  return paths;
}

function isBroken(value: unknown): boolean {
  if (typeof value === "string") return !value.isWellFormed();
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(isBroken);
  return Object.entries(value).some(([key, inner]) => !key.isWellFormed() || isBroken(inner));
}

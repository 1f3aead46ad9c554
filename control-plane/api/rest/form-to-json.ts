import { finerSuffix, type KongShape, type RecordShape } from "./kong-shape.ts";
import type { FormNode } from "./parse-form.ts";
import type { JsonObject } from "./print-resource.ts";

/** A number as Lua and JSON read it; "0x10" and " " are texts. */
const numberPattern = /^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$/;

/**
 * Gives the texts of a form the types that the resource's fields have. What does not fit stays text, so that the
 * field's own check refuses it in its own words; an empty value is null, which is how a form clears a field.
 */
export function formToJson(form: FormNode, shape: RecordShape): JsonObject {
  // Without a prototype, "__proto__" is a key like any other, and an unknown field.
  const json: Record<string, unknown> = Object.create(null);
  for (const [name, node] of form.fields) json[name] = inferNode(node, fieldShape(shape, name));
  return json;
}

function fieldShape(shape: RecordShape, name: string): KongShape | undefined {
  const field = shape.fields.get(name);
  if (field !== undefined) return field.shape;
  // `interval_ms` is a number as `interval` is.
  return name.endsWith(finerSuffix) ? shape.fields.get(name.slice(0, -finerSuffix.length))?.shape : undefined;
}

function inferNode(node: FormNode, shape: KongShape | undefined): unknown {
  if (node.fields.size > 0) return inferFields(node, shape);
  if (node.items.size > 0) return inferItems(node, shape);
  if (shape?.type === "list") return inferList(node, shape);
  if (node.values.length === 1 && !node.isAppended) return inferValue(node.values[0]!, shape);
  return node.values.map((value) => inferValue(value, shape));
}

function inferFields(node: FormNode, shape: KongShape | undefined): JsonObject {
  if (shape?.type === "record") return formToJson(node, shape);
  const inner: KongShape | undefined = shape?.type === "headers" ? headerValuesShape : { type: "string" };
  const json: Record<string, unknown> = Object.create(null);
  for (const [name, child] of node.fields) json[name] = inferNode(child, inner);
  return json;
}

const headerValuesShape: KongShape = { type: "list", noun: "array", item: { type: "string" } };

function inferItems(node: FormNode, shape: KongShape | undefined): unknown[] {
  const item = shape?.type === "list" ? shape.item : undefined;
  return Array.from({ length: node.items.size }, (_, index) => inferNode(node.items.get(index + 1)!, item));
}

/** One value is a list of one; one empty value is no list. */
function inferList(node: FormNode, shape: KongShape & { type: "list" }): unknown {
  if (node.values.length === 1 && node.values[0] === "") return null;
  return node.values.map((value) => (value === "" ? "" : inferValue(value, shape.item)));
}

function inferValue(value: string, shape: KongShape | undefined): unknown {
  if (value === "") return null;
  switch (shape?.type) {
    case "boolean":
      return value === "true" ? true : value === "false" ? false : value;
    case "integer":
    case "integer64":
    case "number":
    case "duration":
      return numberPattern.test(value) ? Number(value) : value;
    default:
      return value;
  }
}

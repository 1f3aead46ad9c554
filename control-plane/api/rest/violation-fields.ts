import type { Kind, Problem } from "../../resource/checked.ts";
import { type KongShape, kongShapes, type RecordShape } from "./kong-shape.ts";
import type { JsonObject } from "./print-resource.ts";

/** Where Kong puts what is wrong with a record as a whole. */
const entityKey = "@entity";

/**
 * The `fields` of Kong's error body: nested as the resource is, lists by position with null for sound items, and
 * problems of the whole resource in a list under "@entity".
 */
export function violationFields(kind: Kind, problems: readonly Problem[]): JsonObject {
  const root = emptyBranch();
  for (const problem of problems) {
    if (problem.field === "") root.own.push(problem.message);
    else addLeaf(root, problem.field.split("."), kongShapes[kind], problem.message);
  }
  return printBranch(root) as JsonObject;
}

/** Part of the answer while it grows: what is wrong with the place itself, and with places below it. */
interface Branch {
  readonly own: string[];
  isList: boolean;
  readonly children: Map<string, Branch>;
}

function emptyBranch(): Branch {
  return { own: [], isList: false, children: new Map() };
}

function addLeaf(root: Branch, names: readonly string[], shape: RecordShape, message: string): void {
  let branch = root;
  let inside: KongShape | undefined = shape;
  for (const name of names) {
    // The shape says what is a list: a client's own key may look like a position, and be as large as it likes.
    branch.isList = inside?.type === "list" && /^\d{1,5}$/.test(name);
    inside = shapeWithin(inside, name);
    const child = branch.children.get(name) ?? emptyBranch();
    branch.children.set(name, child);
    branch = child;
  }
  branch.own.push(message);
}

function shapeWithin(shape: KongShape | undefined, name: string): KongShape | undefined {
  if (shape?.type === "record") return shape.fields.get(name)?.shape;
  if (shape?.type === "list") return shape.item;
  return shape?.type === "headers" ? headerValuesShape : undefined;
}

const headerValuesShape: KongShape = { type: "list", noun: "array", item: { type: "string" } };

function printBranch(branch: Branch, isRoot = true): unknown {
  if (branch.children.size === 0 && !isRoot) return branch.own.join("; ");
  if (branch.isList) return printList(branch);
  const printed: Record<string, unknown> = Object.create(null);
  if (branch.own.length > 0) printed[entityKey] = branch.own;
  for (const [name, child] of branch.children) printed[name] = printBranch(child, false);
  return printed;
}

function printList(branch: Branch): unknown[] {
  const positions = [...branch.children.keys()].map(Number);
  return Array.from({ length: Math.max(...positions) + 1 }, (_, position) => {
    const child = branch.children.get(String(position));
    return child === undefined ? null : printBranch(child, false);
  });
}

/** `schema violation (a: m)` or `2 schema violations (a: m; b.1: n)`: the whole first, then by field, items from 1. */
export function violationMessage(kind: Kind, problems: readonly Problem[]): string {
  const ofEntity = problems.filter((problem) => problem.field === "").map((problem) => problem.message);
  const ofFields = problems
    .filter((problem) => problem.field !== "")
    .map((problem) => `${countedFromOne(kind, problem.field)}: ${problem.message}`)
    .sort();
  const count = problems.length === 1 ? "schema violation" : `${problems.length} schema violations`;
  return `${count} (${[...ofEntity, ...ofFields].join("; ")})`;
}

/** Kong counts list items from 1 in its messages. */
function countedFromOne(kind: Kind, field: string): string {
  let inside: KongShape | undefined = kongShapes[kind];
  const names = field.split(".").map((name) => {
    const isPosition = inside?.type === "list" && /^\d+$/.test(name);
    inside = shapeWithin(inside, name);
    return isPosition ? String(Number(name) + 1) : name;
  });
  return names.join(".");
}

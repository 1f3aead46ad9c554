import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ReferenceSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";

/** Messages that are one value each, not records with fields of their own. */
const leafMessages: ReadonlySet<string> = new Set([
  ReferenceSchema.typeName,
  DurationSchema.typeName,
  TimestampSchema.typeName,
]);

/** Whether a field is one value for writes and warnings: all but records such as healthchecks. */
export function isLeaf(field: DescField): boolean {
  return field.fieldKind !== "message" || leafMessages.has(field.message.typeName);
}

/** A field of a message or of a record in it. */
export interface FieldAt {
  /** Dotted, in proto spelling. */
  readonly path: string;
  readonly field: DescField;
}

/** Those that were asked for: each write asks several times. */
const knownLeafs = new WeakMap<DescMessage, readonly FieldAt[]>();

/** Every leaf of a message, in the order of the proto. */
export function leafFields(schema: DescMessage): readonly FieldAt[] {
  let leafs = knownLeafs.get(schema);
  if (leafs === undefined) {
    leafs = leafsBelow(schema, "");
    knownLeafs.set(schema, leafs);
  }
  return leafs;
}

function leafsBelow(schema: DescMessage, prefix: string): readonly FieldAt[] {
  return schema.fields.flatMap((field) => {
    const path = prefix + field.name;
    return isLeaf(field) ? [{ path, field }] : leafsBelow(field.message!, `${path}.`);
  });
}

/** The property of the generated message that a top-level field is. */
export function localNameOf(schema: DescMessage, name: string): string {
  const field = schema.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`${schema.typeName} has no field ${name}`);
  return field.localName;
}

/**
 * What a message holds at a dotted path; undefined when it, or a record on the way, is null.
 * The path must be one that the descriptor has.
 */
export function valueAt(schema: DescMessage, message: object, path: string): unknown {
  let value: unknown = message;
  for (const name of localNamesTo(schema, path)) {
    if (value === undefined) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** Those that were asked for, by path: each write asks for some fifty. */
const knownPaths = new WeakMap<DescMessage, Map<string, readonly string[]>>();

/** The properties that lead to a field. */
function localNamesTo(schema: DescMessage, path: string): readonly string[] {
  let paths = knownPaths.get(schema);
  if (paths === undefined) {
    paths = new Map();
    knownPaths.set(schema, paths);
  }
  let names = paths.get(path);
  if (names === undefined) {
    names = findLocalNames(schema, path);
    // Only paths that the descriptor has: a client's words would fill the memory.
    paths.set(path, names);
  }
  return names;
}

function findLocalNames(schema: DescMessage, path: string): readonly string[] {
  let inside: DescMessage | undefined = schema;
  return path.split(".").map((name) => {
    const field: DescField | undefined = inside?.fields.find((candidate) => candidate.name === name);
    if (field === undefined) throw new Error(`${schema.typeName} has no field ${path}`);
    inside = field.message;
    return field.localName;
  });
}

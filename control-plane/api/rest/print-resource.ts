import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { HeaderValues, Reference } from "../../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Kind } from "../../resource/checked.ts";
import type { ResourceOf } from "../../resource/draft.ts";
import { enumSpelling } from "../../resource/enum-spelling.ts";
import { durationMs, finerSuffix, type KongShape, kongShapes, type RecordShape } from "./kong-shape.ts";

/** A JSON object that came from, or goes to, a client. Read it with Object.hasOwn and Object.entries only. */
export type JsonObject = { readonly [name: string]: unknown };

/**
 * A resource as Kong's Admin API prints it: every field, those without a value as null.
 * An empty list or map is null as well, since the contract does not tell them apart.
 */
export function printResource<K extends Kind>(kind: K, message: ResourceOf[K]): JsonObject {
  return printRecord(kongShapes[kind], message);
}

/** A record of a resource, in the same form. */
export function printRecord(shape: RecordShape, message: object): JsonObject {
  const printed: Record<string, unknown> = {};
  const values = message as Readonly<Record<string, unknown>>;
  for (const field of shape.fields.values()) {
    const value = values[field.localName];
    printed[field.name] = value === undefined ? null : printValue(field.shape, value);
    if (field.shape.type !== "duration" || field.shape.unit !== "s" || value === undefined) continue;
    const ms = durationMs(value as Duration);
    // Every client built on go-kong fails to read a whole answer for one fraction here, so the fraction goes beside it.
    if (ms % 1000 !== 0) printed[field.name + finerSuffix] = ms;
  }
  return printed;
}

function printValue(shape: KongShape, value: unknown): unknown {
  switch (shape.type) {
    case "enum":
      // Null for a value that this version has no word for: a resource that a newer one wrote.
      return enumSpelling(shape.values, value as number) ?? null;
    case "duration":
      return shape.unit === "ms" ? durationMs(value as Duration) : Math.ceil(durationMs(value as Duration) / 1000);
    case "integer64":
      return Number(value);
    case "timestamp":
      return printTimestamp(value as Timestamp, shape.hasMilliseconds);
    case "reference":
      return { id: (value as Reference).id };
    case "list": {
      const items = value as readonly unknown[];
      return items.length === 0 ? null : items.map((item) => printValue(shape.item, item));
    }
    case "headers":
      return printHeaders(value as Readonly<Record<string, HeaderValues>>);
    case "record":
      return printRecord(shape, value as object);
    default:
      return value;
  }
}

function printTimestamp(timestamp: Timestamp, hasMilliseconds: boolean): number {
  const seconds = Number(timestamp.seconds);
  if (!hasMilliseconds) return seconds;
  return (seconds * 1000 + Math.floor(timestamp.nanos / 1e6)) / 1000;
}

function printHeaders(headers: Readonly<Record<string, HeaderValues>>): JsonObject | null {
  const entries = Object.entries(headers);
  if (entries.length === 0) return null;
  return Object.fromEntries(entries.map(([name, list]) => [name, list.values]));
}

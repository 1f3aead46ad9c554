import { create, type DescEnum } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import {
  type HeaderValues,
  HeaderValuesSchema,
  ReferenceSchema,
} from "../../../proto/gen/penstock/config/v1/reference_pb.ts";
import { enumFromSpelling, enumSpellings, expectedOneOf } from "../../resource/enum-spelling.ts";
import type { KongShape } from "./kong-shape.ts";
import type { JsonObject } from "./print-resource.ts";

/** A decoded value, undefined for null; or what is wrong with it in Kong's words. */
export type DecodedValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

/** What google.protobuf.Duration holds: about 10,000 years. */
const durationMaxSeconds = 315_576_000_000;

/** Longest list, and largest map, that is looked into; the contract's own limits are lower or equal. */
export const itemsMaxCount = 10_000;

export const tooManyItems = { ok: false, message: `length must be at most ${itemsMaxCount}` } as const;

/** Told of each problem inside a value, by the name within it. */
type OnProblem = (name: string, message: string) => void;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Decodes a value that has no parts. */
export function decodeScalar(shape: KongShape, value: unknown): DecodedValue {
  switch (shape.type) {
    case "string":
      return decodeString(value);
    case "boolean":
      return typeof value === "boolean" ? { ok: true, value } : { ok: false, message: "expected a boolean" };
    case "number":
      return Number.isFinite(value) ? { ok: true, value } : { ok: false, message: "expected a number" };
    case "integer":
      return decodeInteger(shape, value);
    case "integer64":
      return decodeInteger64(shape, value);
    case "enum":
      return decodeEnum(shape.values, value);
    case "duration":
      return decodeDuration(shape, value);
    default:
      throw new Error(`a ${shape.type} is not decoded as a scalar`);
  }
}

function decodeString(value: unknown): DecodedValue {
  if (typeof value !== "string") return { ok: false, message: "expected a string" };
  // A lone surrogate (JSON allows "\ud800") has no UTF-8 form, so it could not be stored as it came.
  return value.isWellFormed() ? { ok: true, value } : { ok: false, message: "expected valid utf-8" };
}

/** Refuses only what the message cannot hold; narrower ranges are rules of the resource. */
function decodeInteger(shape: KongShape & { type: "integer" }, value: unknown): DecodedValue {
  if (typeof value !== "number" || !Number.isInteger(value)) return { ok: false, message: "expected an integer" };
  const lowest = shape.isUnsigned ? 0 : -(2 ** 31);
  const highest = shape.isUnsigned ? 2 ** 32 - 1 : 2 ** 31 - 1;
  return value < lowest || value > highest ? outOfRange(shape.min, shape.max) : { ok: true, value };
}

/** Past 2^53 a JSON number may not be the one that was written. */
function decodeInteger64(shape: KongShape & { type: "integer64" }, value: unknown): DecodedValue {
  if (typeof value !== "number" || !Number.isInteger(value)) return { ok: false, message: "expected an integer" };
  return Number.isSafeInteger(value) ? { ok: true, value: BigInt(value) } : outOfRange(shape.min, shape.max);
}

function decodeEnum(values: DescEnum, value: unknown): DecodedValue {
  if (typeof value !== "string") return { ok: false, message: "expected a string" };
  const number = enumFromSpelling(values, value);
  return number === undefined
    ? { ok: false, message: expectedOneOf(enumSpellings(values)) }
    : { ok: true, value: number };
}

function decodeDuration(shape: KongShape & { type: "duration" }, value: unknown): DecodedValue {
  if (shape.unit === "ms" && !Number.isInteger(value)) return { ok: false, message: "expected an integer" };
  if (typeof value !== "number" || !Number.isFinite(value)) return { ok: false, message: "expected a number" };
  const seconds = shape.unit === "ms" ? value / 1000 : value;
  if (Math.abs(seconds) > durationMaxSeconds) return outOfRange(shape.min, shape.max);
  // Through whole nanoseconds: 0.3 s must become 300,000,000 ns and not 299,999,999.
  const nanos = BigInt(Math.round(seconds * 1e9));
  return {
    ok: true,
    value: create(DurationSchema, { seconds: nanos / 1_000_000_000n, nanos: Number(nanos % 1_000_000_000n) }),
  };
}

function outOfRange(min: number, max: number): DecodedValue {
  return { ok: false, message: `value should be between ${min} and ${max}` };
}

/** `{"id": …}` or `{"name": …}`. A form clears a reference with an empty id, so one without any value is null. */
export function decodeReference(value: unknown, onProblem: OnProblem): DecodedValue {
  if (!isJsonObject(value)) return { ok: false, message: "expected a record" };
  const reference = create(ReferenceSchema);
  for (const [key, part] of Object.entries(value)) {
    if (key !== "id" && key !== "name") onProblem(key, "unknown field");
    else if (part !== null) {
      const decoded = decodeString(part);
      if (!decoded.ok) onProblem(key, decoded.message);
      else if (part === "") onProblem(key, "length must be at least 1");
      else reference[key] = decoded.value as string;
    }
  }
  return { ok: true, value: reference.id === "" && reference.name === "" ? undefined : reference };
}

/** `{"x-name": ["value", …], …}`. */
export function decodeHeaders(value: unknown, onProblem: OnProblem): DecodedValue {
  if (Array.isArray(value) && value.length === 0) return { ok: true, value: {} };
  if (!isJsonObject(value)) return { ok: false, message: "expected a map" };
  const entries = Object.entries(value);
  if (entries.length > itemsMaxCount) return tooManyItems;
  const headers: Record<string, HeaderValues> = {};
  for (const [name, list] of entries) {
    // The one name that cannot be an own property of a message's map by assignment, and is no header anybody sends.
    if (name === "__proto__") onProblem(name, "unknown field");
    else if (!Array.isArray(list)) onProblem(name, "expected an array");
    else if (list.length > itemsMaxCount) onProblem(name, tooManyItems.message);
    else headers[name] = create(HeaderValuesSchema, { values: decodeHeaderValues(name, list, onProblem) });
  }
  return { ok: true, value: headers };
}

function decodeHeaderValues(name: string, list: readonly unknown[], onProblem: OnProblem): string[] {
  const values: string[] = [];
  for (const [index, item] of list.entries()) {
    const decoded = decodeString(item);
    if (decoded.ok) values.push(decoded.value as string);
    else onProblem(`${name}.${index}`, decoded.message);
  }
  return values;
}

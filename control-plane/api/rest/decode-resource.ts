import { create, type Message } from "@bufbuild/protobuf";
import type { Kind, Problem } from "../../resource/checked.ts";
import type { Draft, ResourceOf } from "../../resource/draft.ts";
import {
  type DecodedValue,
  decodeHeaders,
  decodeReference,
  decodeScalar,
  isJsonObject,
  itemsMaxCount,
  tooManyItems,
} from "./decode-value.ts";
import { finerSuffix, type KongField, type KongShape, kongShapes, type RecordShape } from "./kong-shape.ts";
import type { JsonObject } from "./print-resource.ts";
import { expandServiceUrl } from "./service-url.ts";

/** Problems told of one body; more would make the answer longer than the question. */
const problemsMaxCount = 100;

interface Decoding {
  readonly problems: Problem[];
  /** Leaves that the client set; not collected inside list items, since a list is one leaf. */
  readonly paths: string[];
}

/**
 * Turns Kong's JSON into the fields that a client sets, with everything in it that has the wrong type or no place as
 * the draft's problems. Values are not judged here: that a port is at most 65535 is a rule of the resource.
 */
export function decodeResource<K extends Kind>(kind: K, json: JsonObject): Draft<ResourceOf[K]> {
  const decoding: Decoding = { problems: [], paths: [] };
  const expanded = kind === "service" ? expandServiceUrl(json) : { json, problems: [] };
  decoding.problems.push(...expanded.problems);
  const message = decodeRecord(kongShapes[kind], expanded.json, "", decoding);
  return {
    message: message as unknown as ResourceOf[K],
    paths: decoding.paths,
    problems: decoding.problems.slice(0, problemsMaxCount),
  };
}

function decodeRecord(shape: RecordShape, json: JsonObject, prefix: string, decoding: Decoding): Message {
  const message = create(shape.schema);
  // Object.entries names own keys only, "__proto__" as any other, and the map of fields has no inherited ones.
  for (const [key, value] of Object.entries(json)) {
    if (decoding.problems.length >= problemsMaxCount) break;
    const field = shape.fields.get(key) ?? fieldOfFiner(shape, key);
    // An empty path would say that the problem is of the whole resource.
    if (field === undefined) addProblem(decoding, prefix + (key === "" ? "''" : key), "unknown field");
    else if (!field.isReadOnly && !isSaidFiner(field, key, json)) {
      const path = prefix + field.name;
      const decoded =
        key === field.name
          ? decodeField(field, value, path, decoding)
          : decodeFiner(field, value, Object.hasOwn(json, field.name) ? json[field.name] : undefined);
      if (decoded.ok) setField(field, message, path, decoded.value, decoding);
      else addProblem(decoding, prefix + key, decoded.message);
    }
  }
  return message;
}

function setField(field: KongField, message: Message, path: string, value: unknown, decoding: Decoding): void {
  if (value !== undefined) (message as unknown as Record<string, unknown>)[field.localName] = value;
  // The fields of a record are leaves of their own, unless the record as a whole is null.
  if (field.shape.type !== "record" || value === undefined) decoding.paths.push(path);
}

function decodeField(field: KongField, value: unknown, path: string, decoding: Decoding): DecodedValue {
  if (field.isImplicit && value === "") return { ok: false, message: "length must be at least 1" };
  return decodeValue(field.shape, value, path, decoding);
}

/**
 * `interval_ms: 500` is `interval: 0.5`. Beside an `interval`, that one must be what is printed with it: of two that
 * contradict each other, neither is what the client surely means.
 */
function decodeFiner(field: KongField, ms: unknown, seconds: unknown): DecodedValue {
  if (typeof ms !== "number" || !Number.isSafeInteger(ms)) return { ok: false, message: "expected an integer" };
  if (seconds !== undefined && seconds !== null && seconds !== Math.ceil(ms / 1000) && seconds !== ms / 1000) {
    return { ok: false, message: `does not fit '${field.name}'; leave one of them out` };
  }
  return decodeScalar(field.shape, ms / 1000);
}

/** Whether this key of the two, `interval` and `interval_ms`, is to be passed over for the other. */
function isSaidFiner(field: KongField, key: string, json: JsonObject): boolean {
  const finerKey = field.name + finerSuffix;
  if (!isFinerDuration(field.shape) || !Object.hasOwn(json, finerKey)) return false;
  // Null takes the milliseconds back and leaves what the field in seconds says.
  return (json[finerKey] === null) === (key === finerKey);
}

/** The field that `interval_ms` is the finer form of. */
function fieldOfFiner(shape: RecordShape, key: string): KongField | undefined {
  if (!key.endsWith(finerSuffix)) return undefined;
  const field = shape.fields.get(key.slice(0, -finerSuffix.length));
  return field !== undefined && isFinerDuration(field.shape) ? field : undefined;
}

function isFinerDuration(shape: KongShape): boolean {
  return shape.type === "duration" && shape.unit === "s";
}

/** Decodes a value; undefined stands for null. Problems deeper down go to `decoding`, the value's own is returned. */
function decodeValue(shape: KongShape, value: unknown, path: string, decoding: Decoding): DecodedValue {
  if (value === null) return { ok: true, value: undefined };
  const onProblem = (name: string, message: string) => addProblem(decoding, `${path}.${name}`, message);
  switch (shape.type) {
    case "record":
      // Clients whose language has one kind of table print an empty record as [].
      if (Array.isArray(value) && value.length === 0) return decodeValue(shape, {}, path, decoding);
      if (!isJsonObject(value)) return { ok: false, message: "expected a record" };
      return { ok: true, value: decodeRecord(shape, value, `${path}.`, decoding) };
    case "list":
      return decodeList(shape, value, path, decoding);
    case "headers":
      return decodeHeaders(value, onProblem);
    case "reference":
      return decodeReference(value, onProblem);
    default:
      return decodeScalar(shape, value);
  }
}

type ListShape = KongShape & { readonly type: "list" };

function decodeList(shape: ListShape, value: unknown, path: string, decoding: Decoding): DecodedValue {
  if (isJsonObject(value) && Object.keys(value).length === 0) return { ok: true, value: [] };
  if (!Array.isArray(value)) {
    return { ok: false, message: shape.noun === "set" ? "expected a set" : "expected an array" };
  }
  if (value.length > itemsMaxCount) return tooManyItems;
  const items: unknown[] = [];
  for (const [index, item] of value.entries()) {
    if (decoding.problems.length >= problemsMaxCount) break;
    const itemPath = `${path}.${index}`;
    const decoded = decodeItem(shape.item, item, itemPath, decoding);
    if (decoded.ok) items.push(decoded.value);
    else addProblem(decoding, itemPath, decoded.message);
  }
  return { ok: true, value: items };
}

/** A list has no place for null, which is of the wrong type here. */
function decodeItem(shape: KongShape, item: unknown, path: string, decoding: Decoding): DecodedValue {
  if (shape.type !== "record") return decodeScalar(shape, item);
  if (!isJsonObject(item)) return { ok: false, message: "expected a record" };
  return {
    ok: true,
    value: decodeRecord(shape, item, `${path}.`, { problems: decoding.problems, paths: [] }),
  };
}

function addProblem(decoding: Decoding, field: string, message: string): void {
  decoding.problems.push({ code: "invalid", field, message });
}

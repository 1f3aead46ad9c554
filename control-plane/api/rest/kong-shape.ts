import { type DescEnum, type DescField, type DescMessage, getOption, ScalarType } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type FieldRules, field as fieldRules } from "../../../proto/gen/buf/validate/validate_pb.ts";
import {
  CaCertificateSchema,
  CertificateSchema,
  SniSchema,
} from "../../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { RouteSchema } from "../../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Kind } from "../../resource/checked.ts";
import { durationUnit } from "../../resource/duration-unit.ts";

/**
 * What a field looks like in Kong's JSON. Made once from the protobuf descriptors, so that a field added to the
 * contract is read and printed without a line here; what descriptors cannot say is in the tables below.
 */
export type KongShape =
  | { readonly type: "string" | "boolean" | "number" | "reference" }
  /** `min` and `max` are what the contract says, for error texts; the field itself holds 32 bits. */
  | { readonly type: "integer"; readonly isUnsigned: boolean; readonly min: number; readonly max: number }
  | { readonly type: "enum"; readonly values: DescEnum }
  /** The same with 64 bits, of which JSON's numbers can say 53. */
  | { readonly type: "integer64"; readonly min: number; readonly max: number }
  /** A duration: whole milliseconds, or seconds with fractions. `min` and `max` in that unit. */
  | { readonly type: "duration"; readonly unit: "ms" | "s"; readonly min: number; readonly max: number }
  /** Unix seconds, whole or with milliseconds behind the point. */
  | { readonly type: "timestamp"; readonly hasMilliseconds: boolean }
  | { readonly type: "list"; readonly noun: "set" | "array"; readonly item: KongShape }
  /** Header names with their lists of values. */
  | { readonly type: "headers" }
  | RecordShape;

export interface RecordShape {
  readonly type: "record";
  readonly schema: DescMessage;
  /** By Kong's name, which is the name in the .proto file. */
  readonly fields: ReadonlyMap<string, KongField>;
}

export interface KongField {
  readonly name: string;
  /** The property of the generated message. */
  readonly localName: string;
  readonly shape: KongShape;
  /** Set by the server: printed, and ignored when a client sends it back. */
  readonly isReadOnly: boolean;
  /** The message cannot tell "" from absent, so an empty string must be refused before it becomes one. */
  readonly isImplicit: boolean;
}

/** Kong knows arrays (ordered, repeats kept) and sets; its clients see the word in error texts. All other lists are sets. */
const arrayFields: ReadonlySet<string> = new Set(["hosts", "paths", "http_statuses", "ca_certificates"]);

const readOnlyFields: ReadonlySet<string> = new Set(["created_at", "updated_at", "cert_digest"]);

/** The version of a resource is our own and no field of Kong's. */
const hiddenFields: ReadonlySet<string> = new Set(["etag"]);

/** The suffix of our own field beside a duration in seconds: the same in milliseconds, where seconds cannot say it. */
export const finerSuffix = "_ms";

/** The shape of each kind. */
export const kongShapes: { readonly [K in Kind]: RecordShape } = {
  upstream: recordShape(UpstreamSchema),
  target: recordShape(TargetSchema),
  service: recordShape(ServiceSchema),
  route: recordShape(RouteSchema),
  certificate: recordShape(CertificateSchema),
  sni: recordShape(SniSchema),
  ca_certificate: recordShape(CaCertificateSchema),
};

function recordShape(schema: DescMessage): RecordShape {
  const fields = new Map<string, KongField>();
  for (const field of schema.fields) {
    if (hiddenFields.has(field.name)) continue;
    fields.set(field.name, {
      name: field.name,
      localName: field.localName,
      shape: fieldShape(field),
      isReadOnly: readOnlyFields.has(field.name),
      isImplicit:
        field.fieldKind === "scalar" && field.scalar === ScalarType.STRING && field.proto.proto3Optional !== true,
    });
  }
  return { type: "record", schema, fields };
}

function fieldShape(field: DescField): KongShape {
  switch (field.fieldKind) {
    case "scalar":
      return scalarShape(field.scalar, getOption(field, fieldRules));
    case "enum":
      return { type: "enum", values: field.enum };
    case "message":
      return messageShape(field.message, field);
    case "map":
      return { type: "headers" };
    case "list":
      return { type: "list", noun: arrayFields.has(field.name) ? "array" : "set", item: itemShape(field) };
  }
}

function itemShape(field: DescField & { fieldKind: "list" }): KongShape {
  if (field.listKind === "enum") return { type: "enum", values: field.enum };
  if (field.listKind === "message") return messageShape(field.message, field);
  const rules = getOption(field, fieldRules).type;
  return scalarShape(field.scalar, rules.case === "repeated" ? rules.value.items : undefined);
}

function scalarShape(scalar: ScalarType, rules: FieldRules | undefined): KongShape {
  if (scalar === ScalarType.STRING) return { type: "string" };
  if (scalar === ScalarType.BOOL) return { type: "boolean" };
  if (scalar === ScalarType.DOUBLE) return { type: "number" };
  if (scalar === ScalarType.INT64) return integer64Shape(rules);
  const isUnsigned = scalar === ScalarType.UINT32;
  const bounds = rules?.type.case === "int32" || rules?.type.case === "uint32" ? rules.type.value : undefined;
  return {
    type: "integer",
    isUnsigned,
    min: bounds?.greaterThan.case === "gte" ? bounds.greaterThan.value : isUnsigned ? 0 : -(2 ** 31),
    max: bounds?.lessThan.case === "lte" ? bounds.lessThan.value : isUnsigned ? 2 ** 32 - 1 : 2 ** 31 - 1,
  };
}

function integer64Shape(rules: FieldRules | undefined): KongShape {
  const bounds = rules?.type.case === "int64" ? rules.type.value : undefined;
  return {
    type: "integer64",
    min: bounds?.greaterThan.case === "gte" ? Number(bounds.greaterThan.value) : Number.MIN_SAFE_INTEGER,
    max: bounds?.lessThan.case === "lte" ? Number(bounds.lessThan.value) : Number.MAX_SAFE_INTEGER,
  };
}

function messageShape(message: DescMessage, field: DescField): KongShape {
  switch (message.typeName) {
    case "google.protobuf.Duration":
      return durationShape(field);
    case "google.protobuf.Timestamp":
      // Targets are ordered by their time of creation, which whole seconds could not do.
      return { type: "timestamp", hasMilliseconds: field.parent.name === "Target" };
    case "penstock.config.v1.Reference":
      return { type: "reference" };
    default:
      return recordShape(message);
  }
}

function durationShape(field: DescField): KongShape {
  const unit = durationUnit(field);
  const rules = getOption(field, fieldRules).type;
  const bounds = rules.case === "duration" ? rules.value : undefined;
  const inUnit = (duration: Duration) =>
    unit === "ms" ? durationMs(duration) : Number(duration.seconds) + duration.nanos / 1e9;
  return {
    type: "duration",
    unit,
    min: bounds?.greaterThan.case === "gte" ? inUnit(bounds.greaterThan.value) : 0,
    max: bounds?.lessThan.case === "lte" ? inUnit(bounds.lessThan.value) : 2 ** 31 - 1,
  };
}

/** The milliseconds of a duration, a started one counted as whole. */
export function durationMs(duration: Duration): number {
  return Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1e6);
}

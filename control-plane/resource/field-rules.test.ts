import { create, type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { describe, expect, it } from "vitest";
import { FieldRulesSchema, field as fieldRulesOption } from "../../proto/gen/buf/validate/validate_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { fieldRuleProblems, translations } from "./field-rules.ts";
import { rulesOfKind } from "./rules-of-kind.ts";

const told = (schema: DescMessage, message: Message) =>
  fieldRuleProblems(schema, message).map(({ field, message: text }) => `${field}: ${text}`);

/** Names the rules of a rules message as protovalidate names their violations: "string.min_len", "int32.gte_lte". */
function ruleIds(rules: ReflectMessage, prefix = ""): string[] {
  const set = rules.fields.filter((field) => rules.isSet(field));
  const names = set.map((field) => field.name);
  return set.flatMap((field) => {
    if (field.name === "ignore" || (field.name === "lte" && names.includes("gte"))) return [];
    if (field.name === "gte") return [`${prefix}.${names.includes("lte") ? "gte_lte" : "gte"}`];
    const isRules = field.fieldKind === "message" && field.message.typeName.startsWith("buf.validate.");
    if (!isRules) return [`${prefix}.${field.name}`];
    // Rules of items, keys and values are named as those of a field of their own.
    const inner = ["items", "keys", "values"].includes(field.name) ? "" : field.name;
    return ruleIds(rules.get(field) as ReflectMessage, inner);
  });
}

function everyField(schema: DescMessage): DescField[] {
  return schema.fields.flatMap((field) => [
    field,
    ...(field.message?.typeName.startsWith("penstock.") ? everyField(field.message) : []),
  ]);
}

describe("fieldRuleProblems", () => {
  it.each([
    {
      name: "an id that is no uuid",
      schema: ServiceSchema,
      init: { host: "h", id: "zzz" },
      want: "id: expected a valid UUID",
    },
    {
      name: "an empty name",
      schema: ServiceSchema,
      init: { host: "h", name: "" },
      want: "name: length must be at least 1",
    },
    {
      name: "a long name",
      schema: ServiceSchema,
      init: { host: "h", name: "n".repeat(1025) },
      want: "name: length must be at most 1024",
    },
    {
      name: "a port beyond the range, and beyond 32 bits",
      schema: ServiceSchema,
      init: { host: "h", port: 5_000_000_000 },
      want: "port: value should be between 0 and 65535",
    },
    {
      name: "a timeout of nothing, in milliseconds",
      schema: ServiceSchema,
      init: { host: "h", connectTimeout: { seconds: 0n } },
      want: "connect_timeout: value should be between 1 and 2147483646",
    },
    {
      name: "an interval out of range, in seconds",
      schema: UpstreamSchema,
      init: { name: "u", healthchecks: { active: { healthy: { interval: { seconds: 65536n } } } } },
      want: "healthchecks.active.healthy.interval: value should be between 0 and 65535",
    },
    {
      name: "a protocol that there is not",
      schema: ServiceSchema,
      init: { host: "h", protocol: 99 },
      want: "protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
    },
    {
      name: "an algorithm that is not set",
      schema: UpstreamSchema,
      init: { name: "u", algorithm: 0 },
      want: "algorithm: expected one of: consistent-hashing, least-connections, round-robin, latency, sticky-sessions",
    },
    {
      name: "a redirect code that is none",
      schema: RouteSchema,
      init: { httpsRedirectStatusCode: 303 },
      want: "https_redirect_status_code: expected one of: 426, 301, 302, 307, 308",
    },
    {
      name: "slots beyond the range",
      schema: UpstreamSchema,
      init: { name: "u", slots: 100_000 },
      want: "slots: value should be between 10 and 65536",
    },
    {
      name: "a threshold that is no number",
      schema: UpstreamSchema,
      init: { name: "u", healthchecks: { threshold: Number.NaN } },
      want: "healthchecks.threshold: value should be between 0 and 100",
    },
    {
      name: "a status that is none, by its place",
      schema: UpstreamSchema,
      init: { name: "u", healthchecks: { active: { healthy: { httpStatuses: [200, 99] } } } },
      want: "healthchecks.active.healthy.http_statuses.1: value should be between 100 and 999",
    },
    {
      name: "an authority's id that is no uuid, by its place",
      schema: ServiceSchema,
      init: { host: "h", caCertificates: ["x"] },
      want: "ca_certificates.0: expected a valid UUID",
    },
    {
      name: "too many tags",
      schema: TargetSchema,
      init: { target: "t:1", tags: Array.from({ length: 1001 }, () => "t") },
      want: "tags: length must be at most 1000",
    },
    {
      name: "an empty header name, told of the map",
      schema: RouteSchema,
      init: { headers: { "": { values: ["a"] } } },
      want: "headers: length must be at least 1",
    },
  ])("says in Kong's words what is wrong with $name", ({ schema, init, want }) => {
    expect(told(schema, create(schema as DescMessage, init as never))).toEqual([want]);
  });

  it("reports every violation, not the first", () => {
    const service = create(ServiceSchema, { host: "h", id: "zzz", port: -1, retries: 99_999 });
    expect(told(ServiceSchema, service)).toEqual([
      "id: expected a valid UUID",
      "port: value should be between 0 and 65535",
      "retries: value should be between 0 and 32767",
    ]);
  });

  it("takes what the rules allow", () => {
    expect(told(ServiceSchema, create(ServiceSchema, { host: "h", port: 65535, retries: 0 }))).toEqual([]);
  });

  it("has words for every rule that the protos use", () => {
    const used = new Set(
      Object.values(rulesOfKind).flatMap(({ schema }) =>
        everyField(schema).flatMap((field) => ruleIds(reflect(FieldRulesSchema, getOption(field, fieldRulesOption)))),
      ),
    );
    expect(used.size).toBeGreaterThan(8);
    expect([...used].filter((id) => translations[id] === undefined)).toEqual([]);
    expect(Object.keys(translations).filter((id) => !used.has(id))).toEqual([]);
  });
});

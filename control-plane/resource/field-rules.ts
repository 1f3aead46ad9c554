import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { type Path, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { FieldRulesSchema, field as fieldRulesOption } from "../../proto/gen/buf/validate/validate_pb.ts";
import { HeaderValuesSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Problem } from "./checked.ts";
import { durationUnit } from "./duration-unit.ts";
import { enumSpellings, expectedOneOf } from "./enum-spelling.ts";

/** By their text: the protos have a handful. */
const compiledPatterns = new Map<string, RegExp>();

/**
 * In the place of the library's RE2, which costs 20 us for each id. The patterns are the protos' own and no client's, and
 * none of them can take more than linear time.
 */
function regexMatch(pattern: string, text: string): boolean {
  let compiled = compiledPatterns.get(pattern);
  if (compiled === undefined) {
    compiled = new RegExp(pattern, "u");
    compiledPatterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

/** Compiles each message's rules on its first use (about 20 ms), then answers in microseconds. */
const validator = createValidator({ regexMatch });

/** Every violation of the rules that the proto states for single fields, in Kong's words. */
export function fieldRuleProblems(schema: DescMessage, message: Message): readonly Problem[] {
  const result = validator.validate(schema, message);
  // Not the client's doing: a rule that does not compile, or a message of another type.
  if (result.kind === "error")
    throw new Error(`the rules of ${schema.typeName} cannot be run`, { cause: result.error });
  return (result.violations ?? []).map((violation) => ({
    code: "invalid",
    // A broken key is no good name for a field: what is wrong with it is told of its map.
    field: dottedPath(violation.forKey ? violation.field.slice(0, -1) : violation.field),
    message: translateViolation(violation),
  }));
}

/** What the rule of a violation allows, by name, as the proto states it. */
type Limits = (name: string) => unknown;
type Translation = (limits: Limits, field: DescField) => string;

const lengthAtMost = (limit: unknown) => `length must be at most ${limit}`;
const oneOfTheEnum: Translation = (_, field) =>
  expectedOneOf(field.enum === undefined ? [] : enumSpellings(field.enum));
const between: Translation = (limits) => {
  const [from, to] = [limits("gte"), limits("lte")];
  return `value should be between ${from} and ${to}`;
};

/**
 * Kong's words for each rule that the protos use; a test shows that none is missing. Keyed as protovalidate names
 * rules. Kong has the words for all of these except that for map.max_pairs, which follows its siblings.
 */
export const translations: Readonly<Record<string, Translation>> = {
  "string.pattern": (limits) =>
    String(limits("pattern")).includes("[0-9a-f]{12}") ? "expected a valid UUID" : "invalid value",
  "string.min_len": (limits) => `length must be at least ${limits("min_len")}`,
  "string.max_len": (limits) => lengthAtMost(limits("max_len")),
  "repeated.min_items": (limits) => `length must be at least ${limits("min_items")}`,
  "repeated.max_items": (limits) => lengthAtMost(limits("max_items")),
  "map.max_pairs": (limits) => lengthAtMost(limits("max_pairs")),
  "enum.defined_only": oneOfTheEnum,
  "enum.not_in": oneOfTheEnum,
  "int32.in": (limits) => expectedOneOf([...(limits("in") as Iterable<number>)]),
  "int32.gte_lte": between,
  "uint32.gte_lte": between,
  "int64.gte_lte": between,
  "double.gte_lte": between,
  "duration.gte_lte": (limits, field) => {
    const [from, to] = [limits("gte"), limits("lte")].map((limit) =>
      countOf((limit as ReflectMessage).message as Duration, durationUnit(field)),
    );
    return `value should be between ${from} and ${to}`;
  },
};

function translateViolation(violation: Violation): string {
  const field = violation.field.findLast((step): step is DescField => step.kind === "field");
  const translation = translations[violation.ruleId];
  // An untranslated rule still tells the client what is wrong, in protovalidate's words.
  if (field === undefined || translation === undefined) return violation.message;
  const rules = ruleMessage(field, violation.rule);
  return translation((name) => {
    const rule = rules.fields.find((candidate) => candidate.name === name);
    return rule === undefined ? undefined : rules.get(rule);
  }, field);
}

/** The message of limits (StringRules, Int32Rules ...) that the last step of a rule's path belongs to. */
function ruleMessage(field: DescField, rulePath: Path): ReflectMessage {
  let rules: ReflectMessage = reflect(FieldRulesSchema, getOption(field, fieldRulesOption));
  for (const step of rulePath.slice(0, -1))
    if (step.kind === "field") rules = rules.get(rules.desc.fields.find((f) => f.number === step.number)!) as never;
  return rules;
}

/** The limits of durations are whole in the unit that their fields are in. */
function countOf({ seconds, nanos }: Duration, unit: "ms" | "s"): bigint {
  return unit === "s" ? seconds : seconds * 1000n + BigInt(nanos / 1_000_000);
}

/** "tags.0", "headers.x-a.1": the `values` of HeaderValues is an artefact of the proto and left out. */
function dottedPath(path: Path): string {
  const names: string[] = [];
  for (const step of path) {
    if (step.kind === "list_sub") names.push(String(step.index));
    else if (step.kind === "map_sub") names.push(String(step.key));
    else if (step.kind === "field" && step.parent.typeName !== HeaderValuesSchema.typeName) names.push(step.name);
  }
  return names.join(".");
}

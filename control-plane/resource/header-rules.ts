import type { HeaderValues } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Problem } from "./checked.ts";
import { checkText, checkTexts, invalid } from "./problems.ts";
import { checkHeaderName, type TextRule } from "./text-rules.ts";

/** Values of one header. */
const valuesMaxCount = 1000;

/**
 * Names, and values by a rule, of a map of headers. What is wrong with a name is told of the map, since a broken name
 * is no good part of a path.
 */
export function checkHeaders(
  field: string,
  headers: Readonly<Record<string, HeaderValues>>,
  valueRule: TextRule,
): readonly Problem[] {
  return Object.entries(headers).flatMap(([name, { values }]) => {
    const nameProblems = checkText(field, name, checkHeaderName);
    if (nameProblems.length > 0) return nameProblems;
    if (values.length === 0) return [invalid(`${field}.${name}`, "length must be at least 1")];
    if (values.length > valuesMaxCount)
      return [invalid(`${field}.${name}`, `length must be at most ${valuesMaxCount}`)];
    return checkTexts(`${field}.${name}`, values, valueRule);
  });
}

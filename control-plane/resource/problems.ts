import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Problem } from "./checked.ts";
import type { TextRule } from "./text-rules.ts";

/** A field, or with field "" a combination of fields, that is not acceptable. */
export function invalid(field: string, message: string): Problem {
  return { code: "invalid", field, message };
}

/** The problem that a rule finds with a text; none with null. */
export function checkText(field: string, text: string | undefined, rule: TextRule): readonly Problem[] {
  const fault = text === undefined ? null : rule(text);
  return fault === null ? [] : [invalid(field, fault)];
}

/** The problems that a rule finds with the texts of a list, each under its index. */
export function checkTexts(field: string, texts: readonly string[], rule: TextRule): readonly Problem[] {
  return texts.flatMap((text, i) => checkText(`${field}.${i}`, text, rule));
}

/** The nodes count in milliseconds, so that a smaller part would be lost silently. */
export function checkWholeMs(field: string, duration: Duration | undefined): readonly Problem[] {
  return (duration?.nanos ?? 0) % 1_000_000 === 0 ? [] : [invalid(field, "expected whole milliseconds")];
}

/**
 * The first problem of each field: a name that is too short is not also told that its characters are wrong. Problems
 * of the whole resource (field "") are all kept, each once.
 */
export function firstPerField(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length === 0) return problems;
  const seen = new Set<string>();
  return problems.filter(({ field, message }) => {
    const key = field === "" ? `:${message}` : field;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

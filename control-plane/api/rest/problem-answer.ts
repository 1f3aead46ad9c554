import type { Kind, Problem, ProblemCode } from "../../resource/checked.ts";
import { rulesOfKind } from "../../resource/rules-of-kind.ts";
import { isUuid } from "../../resource/text-rules.ts";
import type { JsonObject } from "./print-resource.ts";
import { type Answer, messageAnswer } from "./rest-answer.ts";
import { violationFields, violationMessage } from "./violation-fields.ts";

/** Problems that are about a field of the body. */
const fieldCodes: ReadonlySet<ProblemCode> = new Set([
  "invalid",
  "dangling_reference",
  "unresolved_reference",
  "duplicate_key",
  "duplicate_id",
]);

/**
 * The answer to a read or write that failed, in Kong's form.
 * @param problems not empty
 * @param uniqueValues what the write asked for under the unique fields: Kong repeats the values that are taken
 */
export function problemAnswer(kind: Kind, problems: readonly Problem[], uniqueValues: JsonObject = {}): Answer {
  // One field that is wrong in itself makes all of it a schema violation, so that nothing has to be told later.
  if (problems.some((problem) => problem.code === "invalid")) {
    const ofFields = problems.filter((problem) => fieldCodes.has(problem.code));
    return codedAnswer(400, 2, "schema violation", violationMessage(kind, ofFields), violationFields(kind, ofFields));
  }
  const problem = problems[0]!;
  switch (problem.code) {
    case "not_found":
      return messageAnswer(404, problem.message);
    case "duplicate_id":
      return codedAnswer(400, 3, "primary key violation", problem.message, pick(uniqueValues, ["id"]));
    case "still_referenced": {
      const by = problem.resource === undefined ? "other" : rulesOfKind[problem.resource.kind].collection;
      return codedAnswer(400, 4, "foreign key violation", problem.message, { "@referenced_by": by });
    }
    case "duplicate_key":
      return codedAnswer(
        409,
        5,
        "unique constraint violation",
        problem.message,
        pick(uniqueValues, kind === "target" ? ["target", "upstream"] : [problem.field]),
      );
    case "dangling_reference":
      return codedAnswer(400, 4, "foreign key violation", problem.message, danglingFields(kind, problem));
    case "unresolved_reference":
      return codedAnswer(
        400,
        13,
        "foreign keys unresolved",
        unresolvedMessage(problems),
        violationFields(kind, problems),
      );
    case "stale_etag":
      return messageAnswer(412, problem.message);
    case "invalid_page_token":
      return codedAnswer(400, 7, "invalid offset", problem.message);
    default:
      return unavailableAnswer(problem);
  }
}

/** `{service: {id}}`: the field with the reference that it was given. */
function danglingFields(kind: Kind, problem: Problem): JsonObject {
  const { resource, field } = problem;
  return violationFields(kind, [
    resource === undefined ? problem : { ...problem, field: `${field}.id`, message: resource.id },
  ]);
}

function unresolvedMessage(problems: readonly Problem[]): string {
  const count = problems.length === 1 ? "foreign key unresolved" : `${problems.length} foreign keys unresolved`;
  return `${count} (${problems.map((problem) => `${problem.field}: ${problem.message}`).join("; ")})`;
}

/** The client may try again soon: nothing was written. */
function unavailableAnswer(problem: Problem): Answer {
  return messageAnswer(503, problem.message, { "Retry-After": "1" });
}

function codedAnswer(status: number, code: number, name: string, message: string, fields?: JsonObject): Answer {
  return { status, body: { code, name, message, fields } };
}

/** Code 6, which Kong gives for a PATCH only; its other 404s carry nothing but a message. */
export function patchedNotFoundAnswer(key: string): Answer {
  const [described, fields] = isUuid(key)
    ? [`primary key '{id="${key}"}'`, { id: key }]
    : [`'{name="${key}"}'`, { name: key }];
  return codedAnswer(404, 6, "not found", `could not find the entity with ${described}`, fields);
}

function pick(values: JsonObject, names: readonly string[]): JsonObject {
  const picked: Record<string, unknown> = {};
  for (const name of names) if (values[name] !== undefined) picked[name] = values[name];
  return picked;
}

import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { Problem } from "./checked.ts";
import type { Draft } from "./draft.ts";
import { isLeaf } from "./message-fields.ts";

/** A message whose fields are read and set by their local names, which come from descriptors only. */
type Fields = Record<string, unknown>;

export interface Merged<T> {
  readonly message: T;
  /** One for each path that names no field. */
  readonly problems: readonly Problem[];
}

/**
 * A copy of `base` with the draft's paths set from the draft's message. A path whose field is absent there clears the
 * field; one that names a record (not a leaf) replaces the whole record.
 *
 * Values are set as they are, in range or not: the field rules run on the result and report all of them at once. What no
 * path names is shared with `base`, and neither may be changed afterwards.
 */
export function mergeDraft<T extends Message>(schema: DescMessage, base: T, draft: Draft<T>): Merged<T> {
  // A copy by reflection of all that is in it would cost 20 us, and most writes name one field.
  const message = { ...base };
  const copied = new Set<object>([message]);
  const problems: Problem[] = [];
  for (const path of draft.paths) {
    const steps = resolvePath(schema, path);
    if (steps === null) problems.push({ code: "invalid", field: path, message: "unknown field" });
    else setAt({ schema, steps, copied }, message as unknown as Fields, draft.message as unknown as Fields);
  }
  return { message, problems };
}

/** The fields that a dotted path goes through; null when it names nothing, or goes on below a leaf. */
function resolvePath(schema: DescMessage, path: string): readonly DescField[] | null {
  const steps: DescField[] = [];
  let inside: DescMessage | null = schema;
  for (const name of path.split(".")) {
    const field: DescField | undefined = inside?.fields.find((candidate) => candidate.name === name);
    if (field === undefined) return null;
    steps.push(field);
    inside = isLeaf(field) ? null : (field.message ?? null);
  }
  return steps;
}

interface Place {
  readonly schema: DescMessage;
  readonly steps: readonly DescField[];
  /** Records that nobody else has. */
  readonly copied: Set<object>;
}

function setAt({ schema, steps, copied }: Place, into: Fields, from: Fields): void {
  let target = into;
  let source: Fields | undefined = from;
  let desc = schema;
  for (const step of steps.slice(0, -1)) {
    const name = step.localName;
    source = source?.[name] as Fields | undefined;
    // What is to be null in a record that is null needs no record.
    if (target[name] === undefined && source === undefined) return;
    // A record that is null in the base comes back with only the leaves that the draft names.
    if (target[name] === undefined) reflect(desc, target as never).set(step, reflect(step.message!));
    else if (!copied.has(target[name] as object)) target[name] = { ...(target[name] as Fields) };
    target = target[name] as Fields;
    copied.add(target);
    desc = step.message!;
  }
  const last = steps.at(-1)!;
  const value = source?.[last.localName];
  if (value === undefined) reflect(desc, target as never).clear(last);
  else target[last.localName] = value;
}

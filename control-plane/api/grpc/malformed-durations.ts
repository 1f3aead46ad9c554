import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Duration } from "@bufbuild/protobuf/wkt";

const nanosMax = 999_999_999;
const durationName = "google.protobuf.Duration";

const holding = new WeakMap<DescMessage, boolean>();

/**
 * The durations of a request that JSON has no text for, such as one of 2e9 ns. In bytes they come as they are, and what is
 * stored of them would fail for everybody who reads it as JSON. How long a duration may be, each field says itself.
 */
export function malformedDurations(
  schema: DescMessage,
  message: Message,
): readonly { readonly field: string; readonly description: string }[] {
  const description = "expected nanos of less than a second, with the sign of seconds";
  return pathsIn(reflect(schema, message), "").map((field) => ({ field, description }));
}

function pathsIn(message: ReflectMessage, path: string): readonly string[] {
  if (message.desc.typeName === durationName) return isWellFormed(message.message as Duration) ? [] : [path];
  return message.fields.flatMap((field) => {
    if (field.message === undefined || !holdsDurations(field.message) || !message.isSet(field)) return [];
    const at = path === "" ? field.name : `${path}.${field.name}`;
    if (field.fieldKind === "message") return pathsIn(message.get(field), at);
    const values = field.fieldKind === "list" ? message.get(field) : message.get(field).values();
    return [...values].flatMap((value, i) => pathsIn(value as ReflectMessage, `${at}[${i}]`));
  });
}

/** Two bytes can be a message in a list, and to look into each takes three times as long as to read it. */
function holdsDurations(schema: DescMessage): boolean {
  const known = holding.get(schema);
  if (known !== undefined) return known;
  const holds = namesWithin(schema, new Set()).has(durationName);
  holding.set(schema, holds);
  return holds;
}

/** Of a message and all that there may be in it. */
function namesWithin(schema: DescMessage, names: Set<string>): ReadonlySet<string> {
  if (names.has(schema.typeName)) return names;
  names.add(schema.typeName);
  for (const { message } of schema.fields) if (message !== undefined) namesWithin(message, names);
  return names;
}

function isWellFormed({ seconds, nanos }: Duration): boolean {
  const isOfOneSign = (seconds >= 0n && nanos >= 0) || (seconds <= 0n && nanos <= 0);
  return isOfOneSign && Math.abs(nanos) <= nanosMax;
}

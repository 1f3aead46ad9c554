import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Duration } from "@bufbuild/protobuf/wkt";

const nanosMax = 999_999_999;

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
  if (message.desc.typeName === "google.protobuf.Duration")
    return isWellFormed(message.message as Duration) ? [] : [path];
  return message.fields.flatMap((field) => {
    if (field.message === undefined || !message.isSet(field)) return [];
    const at = path === "" ? field.name : `${path}.${field.name}`;
    if (field.fieldKind === "message") return pathsIn(message.get(field), at);
    const values = field.fieldKind === "list" ? message.get(field) : message.get(field).values();
    return [...values].flatMap((value, i) => pathsIn(value as ReflectMessage, `${at}[${i}]`));
  });
}

function isWellFormed({ seconds, nanos }: Duration): boolean {
  const isOfOneSign = (seconds >= 0n && nanos >= 0) || (seconds <= 0n && nanos <= 0);
  return isOfOneSign && Math.abs(nanos) <= nanosMax;
}

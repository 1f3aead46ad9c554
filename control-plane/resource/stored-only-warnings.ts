import { isDeepStrictEqual } from "node:util";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Kind } from "./checked.ts";
import { fieldTable } from "./field-table.ts";
import { leafFields, valueAt } from "./message-fields.ts";

/** Something that a write accepted and that its client should know. */
export interface Warning {
  /** Dotted path; "" when it is about the whole resource. */
  readonly field: string;
  readonly message: string;
}

/**
 * A warning for each field that a write sets to something that the nodes do not act on. Values equal to the default
 * give none, since clients of Kong fill in every default on each write; neither does null.
 *
 * @param paths what the write sets; a path of a record stands for all that is in it
 */
export function storedOnlyWarnings(
  kind: Kind,
  schema: DescMessage,
  written: { readonly message: Message; readonly paths: readonly string[] },
  defaults: Message,
): readonly Warning[] {
  const warnings: Warning[] = [];
  for (const { path } of leafFields(schema)) {
    if (!written.paths.some((set) => path === set || path.startsWith(`${set}.`))) continue;
    const use = fieldTable[kind][path];
    const value = valueAt(schema, written.message, path);
    if (use === undefined || use.use === "acted on" || isNull(value)) continue;
    if (isDeepStrictEqual(value, valueAt(schema, defaults, path))) continue;
    const message = use.use === "stored only" ? `stored, but not acted on: ${use.why}` : use.warn(value);
    if (message !== null) warnings.push({ field: path, message });
  }
  return warnings;
}

/** An empty list or map is null. */
function isNull(value: unknown): boolean {
  return value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
}

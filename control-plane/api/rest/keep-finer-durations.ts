import type { Kind } from "../../resource/checked.ts";
import { isJsonObject } from "./decode-value.ts";
import { finerSuffix, kongShapes, type RecordShape } from "./kong-shape.ts";
import type { JsonObject } from "./print-resource.ts";

export interface KeptDurations {
  readonly json: JsonObject;
  /** Dotted paths of the durations that were kept, with the milliseconds they have. */
  readonly kept: readonly { readonly field: string; readonly ms: number }[];
}

/** Whether a resource of the kind may be printed with a duration of less than a second. */
export function mayHaveFinerDurations(kind: Kind): boolean {
  return finerKinds.has(kind);
}

const finerKinds: ReadonlySet<string> = new Set(
  Object.entries(kongShapes).flatMap(([kind, shape]) => (hasFinerDurations(shape) ? [kind] : [])),
);

function hasFinerDurations(shape: RecordShape): boolean {
  return [...shape.fields.values()].some(({ name, shape: inner }) => {
    if (inner.type === "record") return hasFinerDurations(inner);
    return name.endsWith(finerSuffix) || (inner.type === "duration" && inner.unit === "s");
  });
}

/**
 * Keeps a stored sub-second duration when a client brings back the whole seconds that were printed for it.
 * A Kong client knows nothing of `interval_ms`: it reads `interval: 1` for 500 ms, changes something else and writes
 * all of it back. `interval_ms: null`, or any other `interval`, sets the seconds as they are.
 *
 * @param json what the client sends
 * @param printed the stored resource, as printed
 */
export function keepFinerDurations(json: JsonObject, printed: JsonObject, prefix = ""): KeptDurations {
  const merged: Record<string, unknown> = Object.assign(Object.create(null), json);
  const kept: { field: string; ms: number }[] = [];
  for (const [name, stored] of Object.entries(printed)) {
    if (isJsonObject(stored) && Object.hasOwn(json, name) && isJsonObject(json[name])) {
      const inner = keepFinerDurations(json[name], stored, `${prefix}${name}.`);
      merged[name] = inner.json;
      kept.push(...inner.kept);
    }
    if (!name.endsWith(finerSuffix) || typeof stored !== "number") continue;
    const secondsName = name.slice(0, -finerSuffix.length);
    const isSecondsGiven = Object.hasOwn(json, secondsName);
    if (!Object.hasOwn(json, name) && isSecondsGiven && json[secondsName] === printed[secondsName]) {
      merged[name] = stored;
      kept.push({ field: prefix + secondsName, ms: stored });
    } else if (json[name] === null && Object.hasOwn(json, name) && !isSecondsGiven) {
      merged[secondsName] = printed[secondsName];
    }
  }
  return { json: merged, kept };
}

import { capabilitiesNeeded } from "../resource/capability-table.ts";
import type { Kind } from "../resource/checked.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";

/** Who of the connected nodes lacks a capability. */
export type WhoLacks = (capability: string) => readonly { readonly id: string; readonly hostname: string }[];

/** Nodes that a warning names. */
const namedMaxCount = 3;

/** A warning for each part of a written resource that connected nodes are too old for; they take no notice of it. */
export function skewWarnings(kind: Kind, message: object, whoLacks: WhoLacks): readonly Warning[] {
  const warnings: Warning[] = [];
  for (const { capability, feature, path: field } of capabilitiesNeeded(kind, message)) {
    const nodes = whoLacks(capability);
    if (nodes.length === 0) continue;
    const named = nodes.slice(0, namedMaxCount).map(({ id, hostname }) => `${hostname || "a node"} (${id})`);
    const more = nodes.length > named.length ? ` and ${nodes.length - named.length} more` : "";
    const who = `${named.join(", ")}${more}`;
    warnings.push({
      field,
      message: `${feature}: not acted on by nodes that are too old for it (${capability}): ${who}`,
    });
  }
  return warnings;
}

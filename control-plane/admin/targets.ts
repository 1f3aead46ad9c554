import { targetRules } from "../resource/target.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** Targets: found by id or stored address, always within their upstream. */
export const targets: ResourceDefinition<"target"> = {
  rules: targetRules,
  parent: { kind: "upstream", field: "upstream", isRequired: true },
  referrers: [{ kind: "health_override", onDelete: "cascade" }],
  listOrder: "newest first",
  // Kong's clients fall back to a create when a replace finds nothing.
  isCreatedByReplace: () => false,
  // The address in the request says which target; only a draft that names one changes it.
  keptByReplace: ({ stored, draft }) =>
    stored === null || draft.paths.includes("target") ? {} : { target: stored.target },
};

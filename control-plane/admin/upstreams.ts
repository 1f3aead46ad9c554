import { balancingWarnings } from "../resource/balancing-warnings.ts";
import { isUuid } from "../resource/text-rules.ts";
import { upstreamRules } from "../resource/upstream.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import { targets } from "./targets.ts";

/** Upstreams: found by id or name; their targets go with them, and what was decided of those. */
export const upstreams: ResourceDefinition<"upstream"> = {
  rules: upstreamRules,
  parent: { kind: "certificate", field: "client_certificate", isRequired: false },
  referrers: [{ kind: "target", onDelete: "cascade", referrers: targets.referrers }],
  listOrder: "by id",
  isCreatedByReplace: () => true,
  keptByReplace: ({ address }) => (isUuid(address) ? {} : { name: address }),
  warnings: balancingWarnings,
};

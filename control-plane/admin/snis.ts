import { sniRules } from "../resource/sni.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** Server names: found by id or name, and also within their certificate. */
export const snis: ResourceDefinition<"sni"> = {
  rules: sniRules,
  parent: { kind: "certificate", field: "certificate", isRequired: false },
  referrers: [],
  listOrder: "by id",
  isCreatedByReplace: () => true,
  keptByReplace: ({ address }) => (isUuid(address) ? {} : { name: address }),
};

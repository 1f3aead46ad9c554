import { routeRules } from "../resource/route.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** Routes: found by id or name, and also within their service. */
export const routes: ResourceDefinition<"route"> = {
  rules: routeRules,
  parent: { kind: "service", field: "service", isRequired: false },
  referrers: [],
  listOrder: "by id",
  isCreatedByReplace: () => true,
  keptByReplace: ({ address }) => (isUuid(address) ? {} : { name: address }),
};

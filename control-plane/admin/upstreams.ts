import { isUuid } from "../resource/text-rules.ts";
import { upstreamRules } from "../resource/upstream.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** Upstreams: found by id or name; their targets go with them. */
export const upstreams: ResourceDefinition<"upstream"> = {
  rules: upstreamRules,
  parent: null,
  referrer: { kind: "target", collection: "targets", onDelete: "cascade" },
  listOrder: "by id",
  isCreatedByReplace: true,
  uniqueKeyOf: (name) => `name:${name}`,
  keptByReplace: ({ address }) => (isUuid(address) ? {} : { name: address }),
};

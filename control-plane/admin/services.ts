import { isIP } from "node:net";
import type { Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { serviceRules } from "../resource/service.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceDefinition, WriteSurroundings } from "./resource-definition.ts";

/** Services: found by id or name; they stay while routes refer to them. */
export const services: ResourceDefinition<"service"> = {
  rules: serviceRules,
  parent: { kind: "certificate", field: "client_certificate", isRequired: false },
  referrers: [{ kind: "route", collection: "routes", onDelete: "refuse" }],
  listOrder: "by id",
  isCreatedByReplace: () => true,
  keptByReplace: ({ address }) => (isUuid(address) ? {} : { name: address }),
  warnings: hostWarnings,
};

/**
 * A host without a dot is most likely meant as an upstream's name. It is never refused: clients write services before
 * upstreams, and what the nodes' DNS knows is not known here.
 */
function hostWarnings({ host }: Service, paths: readonly string[], { image }: WriteSurroundings): readonly Warning[] {
  const isPlainName = !host.includes(".") && isIP(host) === 0 && host !== "localhost";
  if (!paths.includes("host") || !isPlainName || image.getByKey("upstream", `name:${host}`) !== undefined) return [];
  return [{ field: "host", message: `no upstream is named '${host}' yet: until then the nodes look it up in DNS` }];
}

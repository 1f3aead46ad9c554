import type { Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { readHostAddress } from "../resource/host-address.ts";
import { serviceRules } from "../resource/service.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage } from "../store/resource-image.ts";
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
  lookedUpHost,
};

/**
 * A host without a dot is most likely meant as an upstream's name. It is never refused: clients write services before
 * upstreams.
 */
function hostWarnings({ host }: Service, paths: readonly string[], { image }: WriteSurroundings): readonly Warning[] {
  const isMeantForUpstream = !host.includes(".") && isNameOfNoUpstream(host, image);
  if (!paths.includes("host") || !isMeantForUpstream) return [];
  return [{ field: "host", message: `no upstream is named '${host}' yet: until then the nodes look it up in DNS` }];
}

/** What begins with "_" is the name of a service in the DNS, which has no address of its own. */
function lookedUpHost({ host }: Service, image: ResourceImage): { field: string; name: string } | null {
  return isNameOfNoUpstream(host, image) && !host.startsWith("_") ? { field: "host", name: host } : null;
}

function isNameOfNoUpstream(host: string, image: ResourceImage): boolean {
  const read = readHostAddress(host);
  const isName = typeof read !== "string" && read.type === "name" && host !== "localhost";
  return isName && image.getByKey("upstream", `name:${host}`) === undefined;
}

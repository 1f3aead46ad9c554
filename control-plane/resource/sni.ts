import { create } from "@bufbuild/protobuf";
import { SniSchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { checkText, checkTexts } from "./problems.ts";
import { distinct, nameKey, type ResourceRules } from "./resource-rules.ts";
import { checkSniName, checkTag } from "./text-rules.ts";

/** A server name in the one form in which clients send it: case means nothing, and a root's dot is left out (RFC 6066). */
export function normalizeServerName(name: string): string {
  return name.toLowerCase().replace(/(?<=.)\.$/, "");
}

/** Rules of server names. */
export const sniRules: ResourceRules<"sni"> = {
  kind: "sni",
  collection: "snis",
  schema: SniSchema,
  defaults: create(SniSchema),
  required: ["name", "certificate"],
  references: [{ path: "certificate", toKind: "certificate", toCollection: "certificates" }],
  secrets: [],
  withImplied: (draft) => draft,
  normalize: (sni) => ({ ...sni, name: normalizeServerName(sni.name), tags: distinct(sni.tags) }),
  check: (sni) => [...checkText("name", sni.name, checkSniName), ...checkTexts("tags", sni.tags, checkTag)],
  uniqueKeys: (sni) => nameKey(sni.name),
};

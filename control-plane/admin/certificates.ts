import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Certificate, SniSchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { certificateRules } from "../resource/certificate.ts";
import { expiryWarnings } from "../resource/certificate-expiry.ts";
import type { Checked, Problem } from "../resource/checked.ts";
import { invalid } from "../resource/problems.ts";
import { sniRules } from "../resource/sni.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { deletion } from "./deletion.ts";
import type { ResourceDefinition, SplitMessage, WriteSurroundings } from "./resource-definition.ts";

/** Certificates: found by id or by one of their server names, which go with them. */
export const certificates: ResourceDefinition<"certificate"> = {
  rules: certificateRules,
  parent: null,
  referrers: [
    { kind: "service", collection: "services", onDelete: "refuse" },
    { kind: "upstream", collection: "upstreams", onDelete: "refuse" },
    { kind: "sni", onDelete: "cascade" },
  ],
  listOrder: "by id",
  isCreatedByReplace: () => true,
  // A replace under a name that no certificate has yet creates both.
  keptByReplace: ({ address, stored, draft }) =>
    isUuid(address) || stored !== null ? {} : { snis: [...draft.message.snis, address] },
  warnings: (certificate, _paths, { nowMs }) => expiryWarnings(certificate, nowMs),
  split: splitServerNames,
  complete: (certificate, image) => ({ ...certificate, snis: namesOf(image, certificate.id) }),
};

/**
 * Server names are resources of their own. A write that names the list makes it the certificate's list; one that does
 * not leaves it alone. A name of another certificate is never taken away: it is moved by writing the name itself.
 */
function splitServerNames(
  merged: Certificate,
  paths: readonly string[],
  { image, nowMs }: WriteSurroundings,
): Checked<SplitMessage<"certificate">> {
  const message = { ...merged, snis: [] };
  const isSaid = paths.includes("snis") || image.get("certificate", merged.id) === undefined;
  if (!isSaid) return { ok: true, value: { message, writes: [] } };
  const wanted = new Set(merged.snis);
  const owned = [...image.referrers("sni", "certificate", merged.id)];
  const gone = owned.filter((sni) => !wanted.has(sni.message.name));
  // Those that were given to another certificate meanwhile must stay: with another revision, all is decided anew.
  const writes = gone.map((sni) => deletion(sni, sni.revision));
  const problems: Problem[] = [];
  for (const name of wanted) {
    const taken = image.getByKey("sni", `name:${name}`)?.message.certificate?.id;
    if (taken === undefined) writes.push(creation(name, merged.id, nowMs));
    else if (taken !== merged.id)
      problems.push(invalid("snis", `${name} already associated with existing certificate '${taken}'`));
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: { message, writes } };
}

function creation(name: string, certificateId: string, nowMs: number): ResourceWrite {
  const at = timestampFromMs(nowMs);
  const sni = create(SniSchema, {
    id: randomUUID(),
    name,
    certificate: { id: certificateId },
    createdAt: at,
    updatedAt: at,
  });
  return {
    kind: "sni",
    id: sni.id,
    operation: "create",
    body: toBinary(SniSchema, sni),
    expectedRevision: null,
    uniqueKeys: sniRules.uniqueKeys(sni).map(({ key }) => key),
    references: [{ kind: "certificate", id: certificateId }],
  };
}

function namesOf(image: ResourceImage, certificateId: string): string[] {
  return [...image.referrers("sni", "certificate", certificateId)].map(({ message }) => message.name).sort();
}

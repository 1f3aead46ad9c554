import { caCertificateRules } from "../resource/ca-certificate.ts";
import { expiryWarnings } from "../resource/certificate-expiry.ts";
import { isUuid } from "../resource/text-rules.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** CA certificates: found by id only; they stay while a service or a certificate trusts them. */
export const caCertificates: ResourceDefinition<"ca_certificate"> = {
  rules: caCertificateRules,
  parent: null,
  referrers: [
    { kind: "service", collection: "services", onDelete: "refuse" },
    { kind: "certificate", collection: "certificates", onDelete: "refuse" },
  ],
  listOrder: "by id",
  // It has no name that one could be made under.
  isCreatedByReplace: isUuid,
  keptByReplace: () => ({}),
  warnings: (authority, _paths, { nowMs }) => expiryWarnings(authority, nowMs),
};

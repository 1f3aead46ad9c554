import { create } from "@bufbuild/protobuf";
import { type CaCertificate, CaCertificateSchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { expiredMessage } from "./certificate.ts";
import type { Problem } from "./checked.ts";
import { certificateDigest, readCertificates } from "./pem.ts";
import { checkTexts, invalid } from "./problems.ts";
import { type CheckContext, distinct, type ResourceRules } from "./resource-rules.ts";
import { checkTag } from "./text-rules.ts";

function check(authority: CaCertificate, context: CheckContext<CaCertificate>): readonly Problem[] {
  return [...checkCert(authority.cert, context), ...checkTexts("tags", authority.tags, checkTag)];
}

function checkCert(pem: string, { nowMs, stored }: CheckContext<CaCertificate>): readonly Problem[] {
  if (pem === "") return [];
  const read = readCertificates(pem);
  if (!read.ok) return [invalid("cert", read.fault)];
  const [certificate, ...more] = read.value;
  if (more.length > 0) return [invalid("", "please submit only one certificate at a time")];
  // An expired one that is there already may still be given other tags.
  if (stored?.cert !== pem && certificate.validToDate.getTime() < nowMs) return [invalid("", expiredMessage)];
  if (certificate.ca) return [];
  return [invalid("", 'certificate does not appear to be a CA because it is missing the "CA" basic constraint')];
}

/** The digest of the certificate in a PEM text; "" where there is none. */
export function caCertificateDigest(pem: string): string {
  const read = readCertificates(pem);
  return read.ok ? certificateDigest(read.value[0]) : "";
}

/** Rules of CA certificates: each authority once, however its PEM is wrapped. */
export const caCertificateRules: ResourceRules<"ca_certificate"> = {
  kind: "ca_certificate",
  collection: "ca_certificates",
  schema: CaCertificateSchema,
  defaults: create(CaCertificateSchema),
  required: ["cert"],
  references: [],
  secrets: [],
  withImplied: (draft) => draft,
  normalize: (authority) => ({
    ...authority,
    certDigest: caCertificateDigest(authority.cert),
    tags: distinct(authority.tags),
  }),
  check,
  uniqueKeys: ({ certDigest }) => {
    if (certDigest === "") return [];
    const duplicateMessage = `UNIQUE violation detected on '{cert_digest="${certDigest}"}'`;
    return [{ key: `digest:${certDigest}`, field: "cert_digest", duplicateMessage }];
  },
};

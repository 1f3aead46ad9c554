import { create } from "@bufbuild/protobuf";
import {
  type Certificate,
  CertificateSchema,
  type ClientAuthentication,
  ClientAuthenticationMode,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { Problem } from "./checked.ts";
import { type KeyPair, unservable } from "./key-pair.ts";
import { readCertificates, readPrivateKey } from "./pem.ts";
import { checkTexts, invalid } from "./problems.ts";
import { type CheckContext, distinct, type ResourceRules } from "./resource-rules.ts";
import { normalizeServerName } from "./sni.ts";
import { checkSniName, checkTag } from "./text-rules.ts";

/** Kong's words about a certificate whose time is over. */
export const expiredMessage = 'certificate expired, "Not After" time is in the past';

/** One of the two pairs that a certificate may have, by the names of its fields. */
interface PairFields {
  readonly cert: string;
  readonly key: string;
  readonly mismatch: string;
}

const mainFields: PairFields = { cert: "cert", key: "key", mismatch: "certificate does not match key" };
const altFields: PairFields = {
  cert: "cert_alt",
  key: "key_alt",
  mismatch: "alternative certificate does not match key",
};

interface ReadPair {
  readonly problems: readonly Problem[];
  readonly pair: KeyPair | null;
}

function check(certificate: Certificate, context: CheckContext<Certificate>): readonly Problem[] {
  const { cert, key, certAlt, keyAlt } = certificate;
  // The context's clock judges only what is new: an expired certificate may still be given other tags, or go.
  const expiresBy = (isStored: boolean | undefined) => (isStored === true ? null : context.nowMs);
  const main = readPair(mainFields, [cert, key], expiresBy(context.stored?.cert === cert));
  const alt = readPair(altFields, [certAlt, keyAlt], expiresBy(context.stored?.certAlt === certAlt));
  return [
    ...((certAlt === undefined) === (keyAlt === undefined)
      ? []
      : [invalid("", "all or none of these fields must be set: 'cert_alt', 'key_alt'")]),
    ...main.problems,
    ...alt.problems,
    ...checkKeyTypes(main.pair, alt.pair),
    ...checkTexts("snis", certificate.snis, checkSniName),
    ...checkTexts("tags", certificate.tags, checkTag),
  ];
}

/** @param expiresByMs when the certificate must not be over yet; null for whenever */
function readPair(
  fields: PairFields,
  [certPem, keyPem]: readonly [string | undefined, string | undefined],
  expiresByMs: number | null,
): ReadPair {
  const problems: Problem[] = [];
  // What is missing is told by other rules.
  const chain = certPem ? readCertificates(certPem) : null;
  const key = keyPem ? readPrivateKey(keyPem) : null;
  if (chain?.ok === false) problems.push(invalid(fields.cert, chain.fault));
  if (key?.ok === false) problems.push(invalid(fields.key, key.fault));
  if (!chain?.ok || !key?.ok) return { problems, pair: null };
  const [leaf] = chain.value;
  const pair: KeyPair = { certPem: certPem!, keyPem: keyPem!, leaf, key: key.value };
  if (expiresByMs !== null && leaf.validToDate.getTime() < expiresByMs) problems.push(invalid("", expiredMessage));
  if (!leaf.checkPrivateKey(key.value)) problems.push(invalid("", fields.mismatch));
  else {
    const fault = unservable(pair);
    if (fault !== null) problems.push(invalid(fault.startsWith("invalid key") ? fields.key : fields.cert, fault));
  }
  return { problems, pair };
}

/** Of two of a type, one would never be served. */
function checkKeyTypes(main: KeyPair | null, alt: KeyPair | null): readonly Problem[] {
  if (main === null || alt === null || main.key.asymmetricKeyType !== alt.key.asymmetricKeyType) return [];
  const message =
    "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), " +
    "the provided certificates were both of the same type";
  return [invalid("", message)];
}

/**
 * Clients are asked to show a certificate unless it says that they may go without. A record in which nothing is set
 * says nothing: so a field mask can take it back.
 */
function normalizeAuthentication(authentication: ClientAuthentication | undefined): {
  readonly clientAuthentication?: ClientAuthentication;
} {
  if (authentication === undefined) return {};
  const { mode, depth, caCertificates } = authentication;
  if (mode === undefined && depth === undefined && caCertificates.length === 0) return {};
  return {
    clientAuthentication: {
      ...authentication,
      mode: mode ?? ClientAuthenticationMode.REQUIRED,
      caCertificates: distinct(caCertificates),
    },
  };
}

/** Rules of certificates. Their server names are resources of their own: `snis` is checked here and stored there. */
export const certificateRules: ResourceRules<"certificate"> = {
  kind: "certificate",
  collection: "certificates",
  schema: CertificateSchema,
  defaults: create(CertificateSchema),
  required: ["cert", "key"],
  references: [
    { path: "client_authentication.ca_certificates", toKind: "ca_certificate", toCollection: "ca_certificates" },
  ],
  secrets: ["key", "key_alt"],
  withImplied: (draft) => draft,
  normalize: ({ clientAuthentication, ...certificate }) => ({
    ...certificate,
    ...normalizeAuthentication(clientAuthentication),
    snis: distinct(certificate.snis.map(normalizeServerName)),
    tags: distinct(certificate.tags),
  }),
  check,
  uniqueKeys: () => [],
};

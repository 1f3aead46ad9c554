import "reflect-metadata";
import { createHash, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";

/** Kinds of keys; the last is too weak to be trusted. */
export type KeyType = "ec" | "ec-p384" | "rsa" | "ed25519" | "rsa-1024";

export type ExtendedUsage = "serverAuth" | "clientAuth" | "codeSigning";

export interface CertificateInit {
  /** Default: the first of names, or "test". */
  readonly commonName?: string;
  /** Hostnames and IP addresses that it is for. Default: none. */
  readonly names?: readonly string[];
  /** Who signs it. Default: itself. */
  readonly issuer?: TestCertificate;
  /** Whether it may issue others. Default: false. */
  readonly isAuthority?: boolean;
  /** Whether it may sign certificates by its key usage alone, without being an authority. Default: false. */
  readonly isSigner?: boolean;
  /** Most authorities below it. Default: any number. */
  readonly pathLength?: number;
  /** Default: "ec", which takes no time. */
  readonly key?: KeyType;
  /** Another certificate's, to have two of one key. */
  readonly keys?: webcrypto.CryptoKeyPair;
  /** Default: a day ago. */
  readonly notBefore?: Date;
  /** Default: in 90 days. */
  readonly notAfter?: Date;
  /** What it may be used for. Default: both sides of TLS; an authority says nothing. */
  readonly usages?: readonly ExtendedUsage[];
  readonly extensions?: readonly x509.Extension[];
  /** Hash of the signature. Default: "SHA-256". */
  readonly hash?: "SHA-1" | "SHA-256";
}

export interface TestCertificate {
  readonly certPem: string;
  /** PKCS #8. */
  readonly keyPem: string;
  /** The certificate and those that issued it, without the root. */
  readonly chainPem: string;
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly issuer: TestCertificate | null;
  /** SHA-256 of the DER, lower-case hex. */
  readonly digest: string;
}

const dayMs = 86_400_000;
const keyAlgorithms: Readonly<Record<KeyType, object>> = {
  ec: { name: "ECDSA", namedCurve: "P-256" },
  "ec-p384": { name: "ECDSA", namedCurve: "P-384" },
  rsa: { name: "RSASSA-PKCS1-v1_5", modulusLength: 2_048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
  "rsa-1024": {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 1_024,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  },
  ed25519: { name: "Ed25519" },
};

/**
 * Makes a certificate with its key: self-signed, an authority, an intermediate or a leaf, valid or wrong in any way
 * that a test needs.
 */
export async function makeCertificate(init: CertificateInit = {}): Promise<TestCertificate> {
  const keys = init.keys ?? (await makeKeys(init.key ?? "ec"));
  const issuer = init.issuer ?? null;
  const commonName = init.commonName ?? init.names?.[0] ?? "test";
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [commonName] }],
    issuer: issuer === null ? [{ CN: [commonName] }] : issuer.certificate.subjectName,
    notBefore: init.notBefore ?? new Date(Date.now() - dayMs),
    notAfter: init.notAfter ?? new Date(Date.now() + 90 * dayMs),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: { name: algorithmName(issuer?.keys ?? keys), hash: init.hash ?? "SHA-256" },
    extensions: extensionsOf(init),
  });
  const certPem = `${certificate.toString("pem")}\n`;
  return {
    certPem,
    keyPem: `${x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")}\n`,
    chainPem: certPem + (issuer === null || issuer.issuer === null ? "" : issuer.chainPem),
    certificate,
    keys,
    issuer,
    digest: createHash("sha256").update(new Uint8Array(certificate.rawData)).digest("hex"),
  };
}

/** A root that may issue others. */
export async function makeAuthority(
  init: Omit<CertificateInit, "isAuthority"> | string = "Test CA",
): Promise<TestCertificate> {
  const rest = typeof init === "string" ? { commonName: init } : init;
  return await makeCertificate({ ...rest, isAuthority: true });
}

/**
 * A list of revoked certificates, PEM.
 * @param revoked certificates of that issuer
 */
export async function makeRevocationList(
  issuer: TestCertificate,
  revoked: readonly TestCertificate[],
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.certificate.subject,
    thisUpdate: new Date(Date.now() - dayMs),
    nextUpdate: new Date(Date.now() + 30 * dayMs),
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: { name: algorithmName(issuer.keys), hash: "SHA-256" },
    entries: revoked.map(({ certificate: { serialNumber } }) => ({ serialNumber, revocationDate: new Date() })),
  });
  return `${x509.PemConverter.encode(list.rawData, "X509 CRL")}\n`;
}

/** For an authority whose certificates are to be for names below one alone: RFC 5280 section 4.2.1.10. */
export function onlyNamesBelow(name: string): x509.Extension {
  const wrap = (tag: number, bytes: readonly number[]) => [tag, bytes.length, ...bytes];
  const permitted = wrap(0xa0, wrap(0x30, wrap(0x82, [...Buffer.from(name)])));
  return new x509.Extension("2.5.29.30", true, new Uint8Array(wrap(0x30, permitted)));
}

/** What must be understood by who takes the certificate, and is by nobody. */
export function unknownCritical(): x509.Extension {
  return new x509.Extension("1.3.6.1.4.1.99999.1", true, new Uint8Array([5, 0]));
}

/** A time so many days from now, or before it. */
export function inDays(days: number): Date {
  return new Date(Date.now() + days * dayMs);
}

async function makeKeys(type: KeyType): Promise<webcrypto.CryptoKeyPair> {
  const made = await webcrypto.subtle.generateKey(keyAlgorithms[type] as webcrypto.EcKeyGenParams, true, [
    "sign",
    "verify",
  ]);
  return made as webcrypto.CryptoKeyPair;
}

function algorithmName(keys: webcrypto.CryptoKeyPair): string {
  return keys.privateKey.algorithm.name;
}

function extensionsOf(init: CertificateInit): x509.Extension[] {
  const isAuthority = init.isAuthority === true;
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const usages = init.usages ?? (isAuthority ? [] : ["serverAuth", "clientAuth"]);
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(isAuthority, init.pathLength, true),
    new x509.KeyUsagesExtension(isAuthority || init.isSigner ? keyCertSign | cRLSign : digitalSignature, true),
  ];
  if (usages.length > 0) {
    extensions.push(new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[usage])));
  }
  if (init.names !== undefined && init.names.length > 0) {
    const names = init.names.map((value): x509.JsonGeneralName => ({ type: isIP(value) ? "ip" : "dns", value }));
    extensions.push(new x509.SubjectAlternativeNameExtension(names));
  }
  return [...extensions, ...(init.extensions ?? [])];
}

import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** What a PEM text holds, or what is wrong with it in words for the client: never any part of the text. */
export type PemRead<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: string };

const certificateBlock = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/** The certificates of a PEM text in their order, at least one. */
export function readCertificates(pem: string): PemRead<readonly [X509Certificate, ...X509Certificate[]]> {
  // It would be stored and shown as part of what is public.
  if (pem.includes("PRIVATE KEY-----")) return faulty("certificate", "it holds a private key");
  try {
    // Without a block, OpenSSL says in its own words what is missing.
    const [first = pem, ...rest] = pem.match(certificateBlock) ?? [];
    return { ok: true, value: [new X509Certificate(first), ...rest.map((block) => new X509Certificate(block))] };
  } catch (error) {
    return faulty("certificate", reasonOf(error));
  }
}

/** The private key of a PEM text. */
export function readPrivateKey(pem: string): PemRead<KeyObject> {
  if (pem.includes("ENCRYPTED")) return faulty("key", "it is encrypted, and there is no passphrase for it here");
  try {
    return { ok: true, value: createPrivateKey(pem) };
  } catch (error) {
    return faulty("key", reasonOf(error));
  }
}

/** SHA-256 of a certificate as it is signed (DER), lower-case hex; the same however its PEM is wrapped. */
export function certificateDigest(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}

export function faulty(what: "certificate" | "key", reason: string): { readonly ok: false; readonly fault: string } {
  return { ok: false, fault: `invalid ${what}: ${reason}` };
}

/** OpenSSL's words, which tell of the text's structure and not of what is in it. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

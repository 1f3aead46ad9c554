import { createHash } from "node:crypto";
import { loadLibrary } from "./authority.ts";

/** What a certificate request proves: that its sender has the private key of a public one. */
export interface RequestedKey {
  /** SPKI. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of it. */
  readonly keyHash: Uint8Array;
}

const requestMaxBytes = 8 * 1024;

/**
 * Reads a certificate request (PKCS #10) and checks its signature. Only ECDSA keys on P-256 are taken.
 * Null for anything else.
 */
export async function readCertificateRequest(der: Uint8Array): Promise<RequestedKey | null> {
  if (der.length === 0 || der.length > requestMaxBytes) return null;
  const x509 = await loadLibrary();
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der));
    const { algorithm } = request.publicKey;
    const isP256 = algorithm.name === "ECDSA" && (algorithm as { namedCurve?: string }).namedCurve === "P-256";
    if (!isP256 || !(await request.verify())) return null;
    const publicKey = new Uint8Array(request.publicKey.rawData);
    return { publicKey, keyHash: keyHashOf(publicKey) };
  } catch {
    // Not a request at all: the library throws what it meets.
    return null;
  }
}

/** How a key is known. @param publicKey SPKI */
export function keyHashOf(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(publicKey).digest());
}

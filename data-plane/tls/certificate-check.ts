import { createPrivateKey, hash, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { contextWeight } from "./context-weight.ts";

/** A pair that can be served, with a digest of both texts, or what is wrong with it; never anything of its key. */
export type PairCheck =
  | { readonly ok: true; readonly keyType: string; readonly expiresAtMs: number; readonly digest: string }
  | { readonly ok: false; readonly part: "cert" | "key"; readonly message: string };

const mismatch: PairCheck = { ok: false, part: "key", message: "does not match the certificate" };
const certificateBlock = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/**
 * Tries whether certificates can be served and trusted, as the workers will. What was tried is remembered: a snapshot
 * in which one certificate changed costs one trial.
 *
 * Cost: about 1 ms for a pair that is new, some 10 us for one that is not.
 */
export class CertificateCheck {
  readonly #rememberMax: number;
  readonly #pairs = new Map<string, PairCheck>();
  /** Null: fine. */
  readonly #authorities = new Map<string, string | null>();

  /** @param rememberMax pairs, and authorities, whose result is kept */
  constructor(rememberMax: number) {
    this.#rememberMax = rememberMax;
  }

  /** @param certPem a certificate, and those that issued it @param keyPem its private key */
  pair(certPem: string, keyPem: string): PairCheck {
    const digest = digestOf(`${certPem}\0${keyPem}`);
    return this.#remember(this.#pairs, digest, () => checkPair(certPem, keyPem, digest));
  }

  /** Whether clients, or targets, can be verified against a certificate: what is wrong with it, or null. */
  authority(pem: string): string | null {
    return this.#remember(this.#authorities, digestOf(pem), () => checkAuthority(pem));
  }

  #remember<T>(known: Map<string, T>, key: string, check: () => T): T {
    const before = known.get(key);
    // Taken out and put in again: the ones that are used last stay.
    const result = before === undefined ? check() : before;
    known.delete(key);
    known.set(key, result);
    if (known.size > this.#rememberMax) known.delete(known.keys().next().value!);
    return result;
  }
}

function digestOf(text: string): string {
  return hash("sha256", text, "base64");
}

function checkPair(certPem: string, keyPem: string, digest: string): PairCheck {
  try {
    createSecureContext({ cert: certPem, key: keyPem, ca: [] });
    contextWeight();
    const certificate = new X509Certificate(certPem);
    // OpenSSL takes a key of another type beside a certificate, and finds out when it would need it.
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return mismatch;
    const keyType = certificate.publicKey.asymmetricKeyType ?? "unknown";
    return { ok: true, keyType, expiresAtMs: Date.parse(certificate.validTo), digest };
  } catch (error) {
    return whatIsWrong(certPem, keyPem, error as Error);
  }
}

/** Which part it is, as OpenSSL's word does not say. */
function whatIsWrong(certPem: string, keyPem: string, loading: Error): PairCheck {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certPem);
  } catch {
    return { ok: false, part: "cert", message: "is no certificate that can be read" };
  }
  try {
    const key = createPrivateKey(keyPem);
    if (!certificate.checkPrivateKey(key)) return mismatch;
  } catch {
    return { ok: false, part: "key", message: "is no private key that can be read" };
  }
  return { ok: false, part: "cert", message: `cannot be served: ${reasonOf(loading)}` };
}

function checkAuthority(pem: string): string | null {
  if ((pem.match(certificateBlock) ?? []).length !== 1) return "is not one certificate";
  try {
    const certificate = new X509Certificate(pem);
    createSecureContext({ ca: pem });
    return certificate.ca ? null : "may not issue certificates";
  } catch {
    return "is no certificate that can be read";
  }
}

/** The last part of OpenSSL's message: "error:0A00018F:SSL routines::ee key too small". */
function reasonOf(error: Error): string {
  return error.message.slice(error.message.lastIndexOf(":") + 1).trim();
}

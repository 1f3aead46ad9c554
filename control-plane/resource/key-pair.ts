import type { KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { faulty, reasonOf } from "./pem.ts";

/** Types of keys that TLS 1.2 and 1.3 know. */
const servedKeyTypes: ReadonlySet<string | undefined> = new Set(["rsa", "rsa-pss", "ec", "ed25519", "ed448"]);

/** A certificate chain and its key, as texts and as read from them. */
export interface KeyPair {
  readonly certPem: string;
  readonly keyPem: string;
  readonly leaf: X509Certificate;
  readonly key: KeyObject;
}

/**
 * Why no node could serve a pair; null when it can: the key is too short, a signature in the chain too weak, or
 * whatever else TLS as the nodes speak it does not take. The fault begins with the field's noun, as all faults of PEM do.
 */
export function unservable({ certPem, keyPem, key }: KeyPair): string | null {
  const type = key.asymmetricKeyType;
  if (!servedKeyTypes.has(type)) return faulty("key", `a key of type ${type} does not serve TLS`).fault;
  try {
    // Without the authorities that a context otherwise loads to judge others: 0.8 ms.
    createSecureContext({ cert: certPem, key: keyPem, ca: [] });
    return null;
  } catch (error) {
    return faulty("certificate", reasonOf(error)).fault;
  }
}

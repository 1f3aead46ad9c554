import { webcrypto } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import type { KeyPairConfig } from "../config/tls-config.ts";

const yearMs = 365 * 86_400_000;

/**
 * Makes a certificate that nobody vouches for, with a key of its own (P-256), for ten years.
 *
 * Cost: loads @peculiar/x509, 0.3 s and 18 MB, so it is done in a thread that ends when it has.
 */
async function makeSelfSigned(commonName: string, nowMs: number): Promise<KeyPairConfig> {
  // The library finds its polyfill in place or fails.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: algorithm,
    // Clocks differ.
    notBefore: new Date(nowMs - 86_400_000),
    notAfter: new Date(nowMs + 10 * yearMs),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: commonName }]),
    ],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certPem: `${certificate.toString("pem")}\n`,
    keyPem: `${x509.PemConverter.encode(key, "PRIVATE KEY")}\n`,
  };
}

/** What the thread is to make. */
export interface SelfSignedOrder {
  readonly commonName: string;
  readonly nowMs: number;
}

if (parentPort !== null) {
  const { commonName, nowMs } = workerData as SelfSignedOrder;
  parentPort.postMessage(await makeSelfSigned(commonName, nowMs));
}

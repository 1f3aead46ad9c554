import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { KeyPairConfig } from "../config/tls-config.ts";
import { CertificateCheck } from "./certificate-check.ts";
import type { SelfSignedOrder } from "./self-signed-certificate.ts";

/** A pair for the names that have no certificate, and when it expires. */
export interface DefaultCertificate {
  readonly pair: KeyPairConfig;
  readonly expiresAtMs: number;
}

/** Why there is none, in one line for the user. */
export class DefaultCertificateError extends Error {}

/** One that expires within so long is made anew. */
const renewBeforeMs = 30 * 86_400_000;

/** Errors: DefaultCertificateError when a file cannot be read, or the two cannot be served. */
export function readDefaultCertificate(certFile: string, keyFile: string): DefaultCertificate {
  const pair = { certPem: readText(certFile), keyPem: readText(keyFile) };
  const check = new CertificateCheck(1).pair(pair.certPem, pair.keyPem);
  if (check.ok) return { pair, expiresAtMs: check.expiresAtMs };
  throw new DefaultCertificateError(`${check.part === "cert" ? certFile : keyFile} ${check.message}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new DefaultCertificateError(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The self-signed one that is kept in a folder; made when there is none that is good, for the name "localhost".
 * Errors: DefaultCertificateError when it cannot be kept.
 */
export async function keepDefaultCertificate(folder: string, nowMs: number): Promise<DefaultCertificate> {
  const [certFile, keyFile] = [join(folder, "default-certificate.pem"), join(folder, "default-key.pem")];
  const kept = readKept(certFile, keyFile);
  if (kept !== null && kept.expiresAtMs - nowMs > renewBeforeMs) return kept;
  const pair = await makeSelfSigned({ commonName: "localhost", nowMs });
  try {
    writePrivate(keyFile, pair.keyPem);
    writePrivate(certFile, pair.certPem);
  } catch (cause) {
    throw new DefaultCertificateError(`cannot keep the default certificate: ${(cause as Error).message}`, { cause });
  }
  return readDefaultCertificate(certFile, keyFile);
}

/** What cannot be used, such as a pair of which only one half was written, counts as not there. */
function readKept(certFile: string, keyFile: string): DefaultCertificate | null {
  try {
    return readDefaultCertificate(certFile, keyFile);
  } catch {
    return null;
  }
}

/** Renamed into place: half a file is never seen. */
function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function makeSelfSigned(order: SelfSignedOrder): Promise<KeyPairConfig> {
  const file = `./self-signed-certificate.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`;
  const worker = new Worker(new URL(file, import.meta.url), { workerData: order });
  return new Promise((resolve, reject) => {
    worker.once("message", (pair: KeyPairConfig) => resolve(pair));
    worker.once("error", (cause) => {
      reject(new DefaultCertificateError(`cannot make a certificate: ${cause.message}`, { cause }));
    });
    worker.once("exit", () => reject(new DefaultCertificateError("cannot make a certificate")));
  });
}

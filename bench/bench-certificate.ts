import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificate } from "../test/support/certificates.ts";

/** The name that every subject has a certificate for. */
export const benchServerName = "bench.example.test";

/**
 * The one group of keys that clients offer. Left to themselves they offer a hybrid with ML-KEM before it, which some
 * subjects know (ours among them, and prefer) and others do not: that would compare different handshakes.
 */
export const benchKeyGroup = "X25519";

/** What every subject of a workload over TLS is given: ECDSA P-256, signed by itself. */
export interface BenchCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  readonly certPath: string;
  readonly keyPath: string;
  /** Both in one file, as HAProxy wants it. */
  readonly bothPath: string;
}

/** Makes the certificate and its files in the folder. */
export async function makeBenchCertificate(folder: string): Promise<BenchCertificate> {
  const { certPem, keyPem } = await makeCertificate({ names: [benchServerName] });
  const paths = {
    certPath: join(folder, "bench.crt"),
    keyPath: join(folder, "bench.key"),
    bothPath: join(folder, "bench.pem"),
  };
  writeFileSync(paths.certPath, certPem);
  writeFileSync(paths.keyPath, keyPem, { mode: 0o600 });
  writeFileSync(paths.bothPath, `${certPem}\n${keyPem}`, { mode: 0o600 });
  return { certPem, keyPem, ...paths };
}

import { createSecureContext, type SecureContext } from "node:tls";
import type { ProbeConfig } from "../config/health-check-config.ts";
import { TargetTls } from "../upstream/target-tls.ts";

/** Settings kept ready; the oldest goes first. */
const settingsMaxCount = 256;

/** TLS of probes: what is loaded of certificates once for all probes of one check. */
export class ProbeTls {
  readonly #nodeCaPems: readonly string[] | null;
  readonly #targetTls = new Map<string, TargetTls>();
  readonly #contexts = new Map<string, SecureContext>();

  /** @param nodeCaPems the authorities that are trusted; null = those that come with Node */
  constructor(nodeCaPems: readonly string[] | null) {
    this.#nodeCaPems = nodeCaPems;
  }

  /** For HTTP/1.1. Sessions are resumed: most of a handshake's cost. */
  targetTls({ key, isVerified, clientPairs }: ProbeConfig): TargetTls {
    return kept(this.#targetTls, key, () => {
      return new TargetTls({ key, isVerified, clientPairs, depthMax: null, caPems: null }, this.#nodeCaPems);
    });
  }

  context({ key, clientPairs }: ProbeConfig): SecureContext {
    return kept(this.#contexts, key, () =>
      createSecureContext({
        minVersion: "TLSv1.2",
        ...(this.#nodeCaPems === null ? {} : { ca: [...this.#nodeCaPems] }),
        ...(clientPairs.length === 0
          ? {}
          : { cert: clientPairs.map(({ certPem }) => certPem), key: clientPairs.map(({ keyPem }) => keyPem) }),
      }),
    );
  }
}

function kept<T>(byKey: Map<string, T>, key: string, make: () => T): T {
  const value = byKey.get(key) ?? make();
  byKey.delete(key);
  byKey.set(key, value);
  if (byKey.size > settingsMaxCount) byKey.delete(byKey.keys().next().value!);
  return value;
}

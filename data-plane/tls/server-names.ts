import type { CertificateConfig, TlsConfig } from "../config/tls-config.ts";

/**
 * Which certificate is served for a server name. Immutable.
 *
 * Cost: at most four lookups by hash.
 */
export class ServerNames {
  readonly #exact = new Map<string, CertificateConfig>();
  /** By what follows the "*", from the dot on. */
  readonly #endings = new Map<string, CertificateConfig>();
  /** By what comes before the "*", up to and with the dot. */
  readonly #beginnings = new Map<string, CertificateConfig>();
  #any: CertificateConfig | null = null;

  constructor({ certificates, serverNames }: TlsConfig) {
    for (const { name, certificateIndex } of serverNames) {
      const certificate = certificates[certificateIndex]!;
      if (name === "*") this.#any = certificate;
      else if (name.startsWith("*")) this.#endings.set(name.slice(1), certificate);
      else if (name.endsWith("*")) this.#beginnings.set(name.slice(0, -1), certificate);
      else this.#exact.set(name, certificate);
    }
  }

  /**
   * The certificate of a name: the name itself, then "*" for its first label, for its last, for all of it. Null: the
   * node's own certificate, which is also what is served when there is no name.
   * @param name lower case, without trailing dot; "" for none
   */
  pick(name: string): CertificateConfig | null {
    if (name === "") return null;
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    const firstDot = name.indexOf(".");
    if (firstDot > 0) {
      const wildcard =
        this.#endings.get(name.slice(firstDot)) ?? this.#beginnings.get(name.slice(0, name.lastIndexOf(".") + 1));
      if (wildcard !== undefined) return wildcard;
    }
    return this.#any;
  }
}

import { createHash } from "node:crypto";
import type { Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { KeyPairConfig, UpstreamTlsConfig } from "../config/tls-config.ts";
import { type Compiled, compiled, dangling, invalid } from "./entity-problem.ts";

/** What a snapshot has of certificates, by id. */
export interface CertificateLookup {
  /** PEM; undefined when there is none of this id. */
  authority(id: string): string | undefined;
  pairs(id: string): readonly KeyPairConfig[] | undefined;
}

const depthLimit = 64;

/**
 * How services' targets are spoken to over TLS. Equal settings become one object, so that they cross to the workers
 * once, and their connections are shared.
 */
export class ServiceTlsCompilation {
  readonly #certificates: CertificateLookup;
  readonly #byKey = new Map<string, UpstreamTlsConfig>();

  constructor(certificates: CertificateLookup) {
    this.#certificates = certificates;
  }

  /** @param shownId the certificate of the upstream that the service's host names, for a service that names none */
  compile(service: Service, shownId: string | undefined): Compiled<UpstreamTlsConfig> {
    const caPems: string[] = [];
    for (const [i, id] of service.caCertificates.entries()) {
      const pem = this.#certificates.authority(id);
      if (pem === undefined) return dangling(`ca_certificates[${i}]`, `there is no CA certificate ${id}`);
      caPems.push(pem);
    }
    const depthMax = service.tlsVerifyDepth ?? null;
    if (depthMax !== null && (depthMax < 0 || depthMax > depthLimit)) {
      return invalid("tls_verify_depth", `${depthMax} is not between 0 and ${depthLimit}`);
    }
    const clientId = service.clientCertificate?.id ?? shownId;
    const clientPairs = clientId === undefined ? [] : this.#certificates.pairs(clientId);
    if (clientPairs === undefined) return dangling("client_certificate", `there is no certificate ${clientId}`);
    return compiled(
      this.#shared({
        // Whoever says nothing is protected: the opposite of Kong's default (docs/kong-differences.md).
        isVerified: service.tlsVerify ?? true,
        depthMax,
        caPems: caPems.length === 0 ? null : caPems,
        clientPairs,
      }),
    );
  }

  #shared(settings: Omit<UpstreamTlsConfig, "key">): UpstreamTlsConfig {
    const key = createHash("sha256").update(JSON.stringify(settings)).digest("base64");
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const config = { key, ...settings };
    this.#byKey.set(key, config);
    return config;
  }
}

import { createHash } from "node:crypto";
import {
  type CaCertificate,
  type Certificate,
  ClientAuthenticationMode,
  type Sni,
  type TicketKey,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type { CertificateConfig, ClientAuthenticationConfig, KeyPairConfig, TlsConfig } from "../config/tls-config.ts";
import { authenticationKey } from "../tls/authentication-key.ts";
import { type Compiled, compiled, dangling, invalid } from "./entity-problem.ts";

/** Tries whether certificates can be loaded (tls/certificate-check.ts). */
export interface CertificateTrial {
  pair(
    certPem: string,
    keyPem: string,
  ):
    | { readonly ok: true; readonly keyType: string; readonly expiresAtMs: number; readonly digest: string }
    | { readonly ok: false; readonly part: "cert" | "key"; readonly message: string };
  /** What is wrong with it, or null. */
  authority(pem: string): string | null;
}

/** When a certificate is not valid any more; the earlier one where it has two. */
export interface CertificateExpiry {
  readonly id: string;
  readonly expiresAtMs: number;
}

export interface CertificatePlan {
  readonly config: CertificateConfig;
  readonly expiresAtMs: number;
}

const ticketKeyBytes = 48;
const defaultDepth = 1;
const depthLimit = 64;

/** What a snapshot says of TLS. Kinds are added in the order of their references: authorities, certificates, names. */
export class TlsCompilation {
  readonly #trial: CertificateTrial;
  /** PEM, by id. */
  readonly #authorities = new Map<string, string>();
  readonly #certificates = new Map<string, CertificatePlan>();
  /** Id of the certificate, by name. */
  readonly #names = new Map<string, string>();
  #ticketKey: Uint8Array | null = null;

  constructor(trial: CertificateTrial) {
    this.#trial = trial;
  }

  addAuthority({ id, cert }: CaCertificate): Compiled<unknown> {
    const problem = this.#trial.authority(cert);
    if (problem !== null) return invalid("cert", problem);
    this.#authorities.set(id, cert);
    return compiled(null);
  }

  /** The PEM of an authority; undefined when there is none of this id. */
  authority(id: string): string | undefined {
    return this.#authorities.get(id);
  }

  addCertificate(certificate: Certificate): Compiled<unknown> {
    const { id, cert, key, certAlt, keyAlt } = certificate;
    const first = this.#trial.pair(cert, key);
    if (!first.ok) return invalid(first.part, first.message);
    const pairs: KeyPairConfig[] = [{ certPem: cert, keyPem: key }];
    let { expiresAtMs, digest } = first;
    if ((certAlt === undefined) !== (keyAlt === undefined)) {
      return invalid(certAlt === undefined ? "cert_alt" : "key_alt", "cert_alt and key_alt go together");
    }
    if (certAlt !== undefined && keyAlt !== undefined) {
      const second = this.#trial.pair(certAlt, keyAlt);
      if (!second.ok) return invalid(`${second.part}_alt`, second.message);
      if (second.keyType === first.keyType) return invalid("cert_alt", `has a key of the same type, ${first.keyType}`);
      pairs.push({ certPem: certAlt, keyPem: keyAlt });
      expiresAtMs = Math.min(expiresAtMs, second.expiresAtMs);
      digest += second.digest;
    }
    const clientAuthentication = this.#clientAuthentication(certificate);
    if (!clientAuthentication.ok) return clientAuthentication;
    const asked = clientAuthentication.value;
    if (asked !== null) digest += createHash("sha256").update(authenticationKey(asked)).digest("base64");
    const config = { id, key: digest, pairs, clientAuthentication: asked };
    this.#certificates.set(id, { config, expiresAtMs });
    return compiled(null);
  }

  /** Certificate and key, to be shown to targets; undefined when there is none of this id. */
  pairs(id: string): readonly KeyPairConfig[] | undefined {
    return this.#certificates.get(id)?.config.pairs;
  }

  #clientAuthentication({ clientAuthentication: asked }: Certificate): Compiled<ClientAuthenticationConfig | null> {
    if (asked === undefined) return compiled(null);
    const { mode = ClientAuthenticationMode.REQUIRED, depth: depthMax = defaultDepth } = asked;
    if (mode !== ClientAuthenticationMode.REQUIRED && mode !== ClientAuthenticationMode.OPTIONAL) {
      return invalid("client_authentication.mode", `unknown mode number ${mode}`);
    }
    if (depthMax < 0 || depthMax > depthLimit) {
      return invalid("client_authentication.depth", `must be between 0 and ${depthLimit}`);
    }
    if (asked.caCertificates.length === 0) return invalid("client_authentication.ca_certificates", "is empty");
    const caPems: string[] = [];
    for (const [i, id] of asked.caCertificates.entries()) {
      const pem = this.#authorities.get(id);
      const field = `client_authentication.ca_certificates[${i}]`;
      if (pem === undefined) return dangling(field, `there is no CA certificate ${id}`);
      caPems.push(pem);
    }
    return compiled({ isRequired: mode === ClientAuthenticationMode.REQUIRED, caPems, depthMax });
  }

  addServerName(sni: Sni): Compiled<unknown> {
    const name = sni.name.toLowerCase();
    if (!isServerName(name)) return invalid("name", "is no hostname, nor one with * as its first or last label");
    if (this.#names.has(name)) return invalid("name", "another SNI has it");
    const certificateId = sni.certificate?.id ?? "";
    if (certificateId === "") return invalid("certificate", "is missing");
    if (!this.#certificates.has(certificateId)) {
      return dangling("certificate", `there is no certificate ${certificateId}`);
    }
    this.#names.set(name, certificateId);
    return compiled(null);
  }

  addTicketKey({ key }: TicketKey): Compiled<unknown> {
    if (key.length !== ticketKeyBytes) return invalid("key", `is not of ${ticketKeyBytes} bytes`);
    if (this.#ticketKey !== null) return invalid("id", "there is another one");
    this.#ticketKey = key;
    return compiled(null);
  }

  /** Only certificates that a name leads to: keys of others are no business of the workers that take connections. */
  config(): TlsConfig {
    const certificates: CertificateConfig[] = [];
    const indexById = new Map<string, number>();
    const serverNames = [...this.#names].map(([name, id]) => {
      const index = indexById.get(id) ?? certificates.push(this.#certificates.get(id)!.config) - 1;
      indexById.set(id, index);
      return { name, certificateIndex: index };
    });
    return { certificates, serverNames, ticketKey: this.#ticketKey };
  }

  expiries(): CertificateExpiry[] {
    return [...this.#certificates].map(([id, { expiresAtMs }]) => ({ id, expiresAtMs }));
  }
}

/** The control plane knows what a hostname is; here it only matters what "*" in it would mean. */
function isServerName(name: string): boolean {
  if (name === "*") return true;
  const labels = name.split(".");
  if (labels.some((label) => label === "")) return false;
  const starCount = name.split("*").length - 1;
  if (starCount === 0) return true;
  return starCount === 1 && labels.length > 1 && (labels[0] === "*" || labels.at(-1) === "*");
}

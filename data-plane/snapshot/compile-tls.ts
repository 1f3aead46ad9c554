import { createHash } from "node:crypto";
import {
  type CaCertificate,
  type Certificate,
  ClientAuthenticationMode,
  type Sni,
  type TicketKey,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import type {
  CertificateConfig,
  ClientAuthenticationConfig,
  KeyPairConfig,
  ServerNameConfig,
  TlsConfig,
} from "../config/tls-config.ts";
import { authenticationKey } from "../tls/authentication-key.ts";
import { type Compiled, compiled, dangling, invalid } from "./entity-problem.ts";
import { Dependents, type Journal, JournaledMap } from "./journal.ts";

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

interface CertificatePlan {
  readonly config: CertificateConfig;
  readonly expiresAtMs: number;
  /** Of those that its clients are asked for. */
  readonly authorityIds: readonly string[];
}

const ticketKeyBytes = 48;
const defaultDepth = 1;
const depthLimit = 64;

interface NamedCertificate {
  readonly name: string;
  readonly certificateId: string;
}

/**
 * What a snapshot says of TLS. Kinds are added in the order of their references: authorities, certificates, names. What is
 * removed may be added anew, changed or not, by then.
 */
export class TlsCompilation {
  readonly #trial: CertificateTrial;
  /** PEM, by id. */
  readonly #authorities: JournaledMap<string, string>;
  readonly #certificates: JournaledMap<string, CertificatePlan>;
  /** By id. */
  readonly #serverNames: JournaledMap<string, NamedCertificate>;
  /** Id of the one that has it, by name. */
  readonly #idByName: JournaledMap<string, string>;
  /** By id; one at most. */
  readonly #ticketKeys: JournaledMap<string, Uint8Array>;
  /** Ids of certificates, by those of the authorities that their clients are asked for. */
  readonly certificatesByAuthority: Dependents;
  /** Ids of server names, by that of their certificate. */
  readonly namesByCertificate: Dependents;

  constructor(trial: CertificateTrial, journal: Journal) {
    this.#trial = trial;
    this.#authorities = new JournaledMap(journal);
    this.#certificates = new JournaledMap(journal);
    this.#serverNames = new JournaledMap(journal);
    this.#idByName = new JournaledMap(journal);
    this.#ticketKeys = new JournaledMap(journal);
    this.certificatesByAuthority = new Dependents(journal);
    this.namesByCertificate = new Dependents(journal);
  }

  addAuthority({ id, cert }: CaCertificate): Compiled<unknown> {
    const problem = this.#trial.authority(cert);
    if (problem !== null) return invalid("cert", problem);
    this.#authorities.set(id, cert);
    return compiled(null);
  }

  removeAuthority(id: string): void {
    this.#authorities.delete(id);
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
    const authorityIds = certificate.clientAuthentication?.caCertificates ?? [];
    this.#certificates.set(id, { config, expiresAtMs, authorityIds });
    for (const authorityId of authorityIds) this.certificatesByAuthority.add(authorityId, id);
    return compiled(null);
  }

  removeCertificate(id: string): void {
    for (const authorityId of this.#certificates.get(id)?.authorityIds ?? []) {
      this.certificatesByAuthority.remove(authorityId, id);
    }
    this.#certificates.delete(id);
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
    if (this.#idByName.has(name)) return invalid("name", "another SNI has it");
    const certificateId = sni.certificate?.id ?? "";
    if (certificateId === "") return invalid("certificate", "is missing");
    if (!this.#certificates.has(certificateId)) {
      return dangling("certificate", `there is no certificate ${certificateId}`);
    }
    this.#idByName.set(name, sni.id);
    this.#serverNames.set(sni.id, { name, certificateId });
    this.namesByCertificate.add(certificateId, sni.id);
    return compiled(null);
  }

  removeServerName(id: string): void {
    const known = this.#serverNames.get(id);
    if (known === undefined) return;
    this.#serverNames.delete(id);
    this.#idByName.delete(known.name);
    this.namesByCertificate.remove(known.certificateId, id);
  }

  addTicketKey({ id, key }: TicketKey): Compiled<unknown> {
    if (key.length !== ticketKeyBytes) return invalid("key", `is not of ${ticketKeyBytes} bytes`);
    if (this.#ticketKeys.size > 0) return invalid("id", "there is another one");
    this.#ticketKeys.set(id, key);
    return compiled(null);
  }

  removeTicketKey(id: string): void {
    this.#ticketKeys.delete(id);
  }

  /**
   * Only certificates that a name leads to: keys of others are no business of the workers that take connections.
   * @param sniIds of all server names, in the order that they are to have
   */
  config(sniIds: Iterable<string>): TlsConfig {
    const certificates: CertificateConfig[] = [];
    const indexById = new Map<string, number>();
    const serverNames: ServerNameConfig[] = [];
    for (const sniId of sniIds) {
      const { name, certificateId } = this.#serverNames.get(sniId)!;
      const config = this.#certificates.get(certificateId)!.config;
      const index = indexById.get(certificateId) ?? certificates.push(config) - 1;
      indexById.set(certificateId, index);
      serverNames.push({ name, certificateIndex: index });
    }
    const [ticketKey = null] = this.#ticketKeys.values();
    return { certificates, serverNames, ticketKey };
  }

  /** @param certificateIds of all certificates */
  expiries(certificateIds: Iterable<string>): CertificateExpiry[] {
    return Array.from(certificateIds, (id) => ({ id, expiresAtMs: this.#certificates.get(id)!.expiresAtMs }));
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

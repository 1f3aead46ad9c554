import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Access } from "../sync/sync-access.ts";
import { accessWith } from "./control-plane-tls.ts";
import type { IdentityStatus, NodeIdentity } from "./node-identity.ts";

/** Files with the node's certificates, where they come from elsewhere; PEM. */
export interface OwnPkiFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** The authorities that issue the control planes' certificates. */
  readonly authorityFile: string;
}

/**
 * The identity of a node whose certificates come from elsewhere. The files are read before each connection: whoever
 * issues certificates replaces them.
 */
export class OwnPkiIdentity implements NodeIdentity {
  readonly #files: OwnPkiFiles;
  #problem: string | null = null;

  constructor(files: OwnPkiFiles) {
    this.#files = files;
  }

  access(address: string): Access {
    const { certFile, keyFile, authorityFile } = this.#files;
    try {
      const pair = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
      const authorities = readFileSync(authorityFile, "utf8");
      const access = accessWith({ pair, authorities, knownBy: "hostname" }, address);
      this.#problem = null;
      return access;
    } catch (error) {
      this.#problem = `the node's certificates cannot be used: ${(error as Error).message}`;
      return { ok: false, problem: this.#problem };
    }
  }

  get status(): IdentityStatus {
    return { type: "own_pki", expiresAtMs: this.#expiresAtMs(), renewsAtMs: null, problem: this.#problem };
  }

  /** The id that the certificate gives the node: `/node/UUID` of its SPIFFE id, or its common name; null for neither. */
  nodeId(): string | null {
    const certificate = this.#certificate();
    const uri = /(?:^|, )URI:spiffe:\/\/[^/,"\s]+\/node\/([^,"\s]+)(?:$|, )/.exec(
      certificate?.subjectAltName ?? "",
    )?.[1];
    const commonName = /^CN=(.*)$/m.exec(certificate?.subject ?? "")?.[1];
    const id = uri ?? commonName ?? "";
    return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(id) ? id : null;
  }

  close(): void {}

  #certificate(): X509Certificate | null {
    try {
      return new X509Certificate(readFileSync(this.#files.certFile, "utf8"));
    } catch {
      return null;
    }
  }

  #expiresAtMs(): number | null {
    return this.#certificate()?.validToDate.getTime() ?? null;
  }
}

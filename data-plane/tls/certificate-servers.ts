import { constants, hash } from "node:crypto";
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  TLSSocket,
  type TlsOptions,
} from "node:tls";
import type { CertificateConfig, KeyPairConfig } from "../config/tls-config.ts";
import { contextWeight } from "./context-weight.ts";
import { keepShownChain } from "./shown-certificate.ts";

export interface CertificateServersOptions {
  /** Served where the configuration has no certificate. */
  readonly defaultPair: KeyPairConfig;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** In OpenSSL's spelling, also those of TLS 1.3. */
  readonly ciphers: string;
  /** Certificates that are kept ready to be served; others are loaded again when they are asked for. */
  readonly readyMax: number;
  /** 48 bytes. */
  readonly ticketKey: Uint8Array;
  readonly onSecure: (socket: TLSSocket) => void;
  /** A handshake failed; the socket is destroyed, or is about to be. */
  readonly onFailed: (error: NodeJS.ErrnoException) => void;
}

interface Ready {
  /** Of the certificate that it was made of. */
  readonly key: string;
  readonly server: Server;
  readonly weight: ArrayBuffer;
}

const { SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_TICKET } = constants;

/**
 * A server of node:tls for each certificate, which listens nowhere: connections are handed to it. One of its own is
 * what keeps sessions apart: a session is resumed only under the very certificate, key and client authorities that it
 * was made under, on every worker and node. So a client sees a new certificate with its next handshake, and no session
 * made under one name lets a client in under another without its certificate.
 *
 * Cost: some 40 KB and 1 ms for each that is ready (EC, one intermediate), made when it is first asked for.
 */
export class CertificateServers {
  readonly #options: CertificateServersOptions;
  readonly #default: Server;
  /** By id, the one used last at the end. */
  readonly #ready = new Map<string, Ready>();
  #ticketKey: Buffer;

  /** Throws when the default pair cannot be loaded. */
  constructor(options: CertificateServersOptions) {
    this.#options = options;
    this.#ticketKey = Buffer.from(options.ticketKey);
    const { certPem, keyPem } = options.defaultPair;
    const key = hash("sha256", `${certPem}\0${keyPem}`, "base64");
    this.#default = this.#open({ id: "default", key, pairs: [options.defaultPair], clientAuthentication: null });
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** The server of a certificate; of the node's own for null. Throws when it cannot be loaded. */
  serverOf(certificate: CertificateConfig | null): Server {
    if (certificate === null) return this.#default;
    const { id, key } = certificate;
    const known = this.#ready.get(id);
    if (known !== undefined) {
      this.#ready.delete(id);
      if (known.key === key) {
        this.#ready.set(id, known);
        return known.server;
      }
    }
    const ready = { key, server: this.#open(certificate), weight: contextWeight() };
    this.#ready.set(id, ready);
    if (this.#ready.size > this.#options.readyMax) this.#ready.delete(this.#ready.keys().next().value!);
    return ready.server;
  }

  /** Sessions that other keys have encrypted are not resumed any more. */
  setTicketKey(key: Uint8Array): void {
    if (this.#ticketKey.equals(key)) return;
    this.#ticketKey = Buffer.from(key);
    this.#default.setTicketKeys(this.#ticketKey);
    for (const { server } of this.#ready.values()) server.setTicketKeys(this.#ticketKey);
  }

  #open(certificate: CertificateConfig): Server {
    const { minVersion, ciphers, onSecure, onFailed } = this.#options;
    const { pairs, clientAuthentication } = certificate;
    const asks = clientAuthentication !== null;
    const context: SecureContextOptions = {
      cert: pairs.map(({ certPem }) => certPem),
      key: pairs.map(({ keyPem }) => keyPem),
      // Also when nobody is asked for a certificate: the system's authorities are then of no use, and cost time.
      ca: asks ? [...clientAuthentication.caPems] : [],
      // What the user trusts may itself have been issued by another.
      allowPartialTrustChain: true,
      minVersion,
      ciphers,
      sessionIdContext: sessionContext(certificate.key),
      ticketKeys: this.#ticketKey,
      // A resumed session has lost the chain of its client: such clients are verified anew each time.
      secureOptions: SSL_OP_NO_RENEGOTIATION | (asks ? SSL_OP_NO_TICKET : 0),
    };
    const server = createServer({
      ...context,
      requestCert: asks,
      // Refused in an answer that says why: in TLS 1.3 an alert may never be seen.
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
      // A server takes no allowPartialTrustChain; who is asked for a certificate has always named a server.
      ...(asks ? { SNICallback: contextCallback(context) } : {}),
    });
    server.on("secureConnection", onSecure);
    server.on("tlsClientError", onFailed);
    return server;
  }
}

type SniCallback = NonNullable<TlsOptions["SNICallback"]>;

/** Called in the midst of a handshake, as a method of its socket: the one moment to get at that. */
function contextCallback(options: SecureContextOptions): SniCallback {
  const context = createSecureContext(options);
  return function (this: unknown, _: string, answer: Parameters<SniCallback>[1]) {
    if (this instanceof TLSSocket) keepShownChain(this);
    answer(null, context);
  };
}

/** 32 characters that differ where anything of a certificate differs that a session stands for. */
function sessionContext(key: string): string {
  return hash("sha256", key, "base64").slice(0, 32);
}

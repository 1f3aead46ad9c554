import { isIP } from "node:net";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  checkServerIdentity as nameProblem,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { UpstreamTlsConfig } from "../config/tls-config.ts";
import type { OnRead } from "../socket/byte-socket.ts";

/** Sessions kept to be resumed, of all targets under the same settings; the oldest goes first. */
const sessionsMaxCount = 1_024;

/** Where a connection goes, and under which name: as SNI, and as what the certificate must be for. */
export interface SecurePlace {
  /** IP literal. */
  readonly address: string;
  readonly port: number;
  /** A hostname, or an IP literal, which is verified but not sent. */
  readonly name: string;
}

/**
 * TLS towards the targets of all services that trust and show the same: what a worker's connections to them share.
 * The certificate is verified before a byte of a request is sent.
 *
 * Source: RFC 8446; RFC 9525 for names.
 */
export class TargetTls {
  readonly key: string;
  readonly #config: UpstreamTlsConfig;
  readonly #nodeCaPems: readonly string[] | null;
  /** Made at the first connection: most services of a large state see none in a worker. */
  #context: SecureContext | null = null;
  readonly #sessions = new Map<string, Buffer>();

  /** @param nodeCaPems the authorities trusted where the service names none; null = those that come with Node */
  constructor(config: UpstreamTlsConfig, nodeCaPems: readonly string[] | null) {
    this.key = config.key;
    this.#config = config;
    this.#nodeCaPems = nodeCaPems;
  }

  /** Begins to connect. The socket says "secureConnect" when the target has proven who it is, or closes with an error. */
  connect({ address, port, name }: SecurePlace, onread: OnRead): TLSSocket {
    const { isVerified } = this.#config;
    const sessionKey = `${address}|${port}|${name}`;
    const session = this.#sessions.get(sessionKey);
    // `onread` and `allowHalfOpen` are documented for tls.connect, which passes them on to the socket that it makes.
    const options: ConnectionOptions & { readonly onread: OnRead; readonly allowHalfOpen: boolean } = {
      host: address,
      port,
      allowHalfOpen: true,
      secureContext: this.#secureContext(),
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: isVerified,
      checkServerIdentity: (_, certificate) => this.#identityProblem(name, certificate),
      onread,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(session === undefined ? {} : { session }),
    };
    const socket = connect(options);
    socket.setNoDelay(true);
    socket.on("session", (ticket: Buffer) => this.#keepSession(sessionKey, ticket));
    return socket;
  }

  #secureContext(): SecureContext {
    const { caPems, clientPairs } = this.#config;
    const trusted = caPems ?? this.#nodeCaPems;
    this.#context ??= createSecureContext({
      minVersion: "TLSv1.2",
      ...(trusted === null ? {} : { ca: [...trusted] }),
      ...(clientPairs.length === 0
        ? {}
        : { cert: clientPairs.map(({ certPem }) => certPem), key: clientPairs.map(({ keyPem }) => keyPem) }),
    });
    return this.#context;
  }

  /** A resumed session was verified when it began, under the same settings and name. */
  #identityProblem(name: string, certificate: PeerCertificate): Error | undefined {
    const wrongName = nameProblem(name, certificate);
    if (wrongName !== undefined) return wrongName;
    const { depthMax } = this.#config;
    if (depthMax === null || intermediateCount(certificate) <= depthMax) return undefined;
    return Object.assign(new Error(`more than ${depthMax} intermediate certificates`), { code: "CERT_CHAIN_TOO_LONG" });
  }

  #keepSession(sessionKey: string, session: Buffer): void {
    this.#sessions.delete(sessionKey);
    this.#sessions.set(sessionKey, session);
    if (this.#sessions.size <= sessionsMaxCount) return;
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest);
      return;
    }
  }
}

/** Certificates between the target's and the one that issued itself. */
function intermediateCount(certificate: PeerCertificate): number {
  let count = -1;
  let at = certificate as DetailedPeerCertificate | undefined;
  while (at !== undefined && at.issuerCertificate !== undefined && at.issuerCertificate !== at) {
    count++;
    at = at.issuerCertificate;
  }
  return Math.max(count, 0);
}

import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import type { Log } from "../telemetry/log.ts";

export interface SyncTlsOptions {
  readonly credentials: SyncCredentials;
  /** From a connection's opening to its first byte, and from there to the end of the handshake. */
  readonly handshakeTimeoutMs?: number;
  /** Connections at once of peers without a certificate that is trusted; more are closed. */
  readonly unverifiedMaxCount?: number;
  readonly log: Pick<Log, "debug">;
}

/** What the sync port shows, and whom it trusts. PEM. */
export interface SyncCredentials {
  /** The certificate and those that issued it. */
  readonly cert: string;
  readonly key: string;
  /** The authorities that may have issued a node's certificate. */
  readonly authorities: string;
}

/** First byte of every TLS connection: a record of the type handshake (RFC 8446 section 5.1). */
const handshakeRecord = 0x16;
const handshakeTimeoutDefaultMs = 10_000;

/** Connections at once of peers that nobody vouches for: strangers must not take the room of nodes. */
const unverifiedMaxDefault = 1_000;

const plainCause = "this port takes TLS only: give the node a join token, or certificates of its own (--sync-cert)";
const noCertificateCause = "the node has shown no certificate: give it a join token";

/** OpenSSL's words for what is wrong with a certificate, in ours; those that are not here are passed on. */
const causes: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the node's certificate has expired: give the node a new join token",
  CERT_NOT_YET_VALID: "the node's certificate is not valid yet: one of the two clocks is wrong",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the node's certificate is of an authority that is not trusted here",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the node's certificate is of an authority that is not trusted here",
  SELF_SIGNED_CERT_IN_CHAIN: "the node's certificate is of an authority that is not trusted here",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the node's certificate is of an authority that is not trusted here",
  CERT_SIGNATURE_FAILURE: "the node's certificate is of an authority that is not trusted here",
  INVALID_PURPOSE: "the node's certificate is not for clients of TLS",
};

/**
 * TLS 1.3 on the sync port. Everybody gets through: who shows no certificate may still ask for a first one, and whoever
 * shows a wrong one, or speaks without TLS, can be told why it is refused. So what a call may do is decided call by
 * call, by the certificate that was verified.
 */
export class SyncTls {
  readonly #options: SyncTlsOptions;
  readonly #server: Server;
  /** By `address:port`, for words only: of two connections at once from one address and port, one would be missed. */
  readonly #causes = new Map<string, string>();

  constructor(options: SyncTlsOptions) {
    this.#options = options;
    this.#server = createServer({
      ...contextOf(options.credentials),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      handshakeTimeout: options.handshakeTimeoutMs ?? handshakeTimeoutDefaultMs,
    });
  }

  /** Shows other certificates from the next handshake on. */
  update(credentials: SyncCredentials): void {
    this.#server.setSecureContext(contextOf(credentials));
  }

  /** Takes connections, and gives them on when it is clear what they are. Called once. */
  serve(inject: (socket: Socket, isVerified: boolean) => void): { accept(socket: Socket): void } {
    this.#server.on("secureConnection", (socket) => {
      const cause = causeOfSocket(socket);
      socket.on("error", () => {});
      if (cause === null || this.#note(socket, cause)) inject(socket, cause === null);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      this.#options.log.debug({ err: error, address: socket.remoteAddress }, "a TLS handshake on the sync port failed");
      socket.destroy();
    });
    return {
      accept: (socket) =>
        onFirstBytes(socket, this.#options.handshakeTimeoutMs ?? handshakeTimeoutDefaultMs, (isTls) => {
          if (isTls) {
            this.#server.emit("connection", socket);
            return;
          }
          if (this.#note(socket, plainCause)) inject(socket, false);
        }),
    };
  }

  /** Why TLS vouches for nobody at a peer. @param peer `address:port` */
  causeOf(peer: string): string {
    return this.#causes.get(peer) ?? noCertificateCause;
  }

  isPlain(peer: string): boolean {
    return this.#causes.get(peer) === plainCause;
  }

  /** False where there are too many already: then the connection is gone. */
  #note(socket: Socket, cause: string): boolean {
    if (this.#causes.size >= (this.#options.unverifiedMaxCount ?? unverifiedMaxDefault)) {
      socket.destroy();
      return false;
    }
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#causes.set(peer, cause);
    socket.once("close", () => this.#causes.delete(peer));
    return true;
  }
}

function contextOf({ cert, key, authorities }: SyncCredentials): SecureContextOptions {
  // Without resumption every connection shows its certificate, and is verified against what is trusted then.
  return { cert, key, ca: authorities, minVersion: "TLSv1.3", secureOptions: constants.SSL_OP_NO_TICKET };
}

function causeOfSocket(socket: TLSSocket): string | null {
  if (socket.authorized) return null;
  // Its type says Error; what is there is OpenSSL's code.
  const code = String(socket.authorizationError);
  if (socket.getPeerX509Certificate() === undefined) return noCertificateCause;
  return causes[code] ?? `the node's certificate is not valid: ${code}`;
}

/** Calls once with the kind of a connection by its first byte, and leaves the socket paused with all bytes unread. */
function onFirstBytes(socket: Socket, timeoutMs: number, decided: (isTls: boolean) => void): void {
  const onData = (bytes: Buffer) => {
    stop();
    socket.pause();
    socket.unshift(bytes);
    // In the next turn: who takes the socket over inside its own data event misses bytes that follow.
    setImmediate(() => {
      socket.off("error", ignore);
      if (!socket.destroyed) decided(bytes[0] === handshakeRecord);
    });
  };
  const giveUp = () => socket.destroy();
  const timer = setTimeout(giveUp, timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("end", giveUp);
    socket.off("close", stop);
  };
  const ignore = () => {};
  socket.on("error", ignore);
  socket.on("data", onData);
  socket.on("end", giveUp);
  socket.on("close", stop);
}

import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { ClientAuthenticationConfig } from "../config/tls-config.ts";

export type CertificateRefusal = "client_certificate_required" | "client_certificate_invalid";

/** What a client showed when it was asked for a certificate. */
export interface ShownCertificate {
  /** null: it may go on. */
  readonly refusal: CertificateRefusal | null;
  /** Why a certificate is not valid: OpenSSL's code, or its words where that says nothing; "" otherwise. */
  readonly reason: string;
  /** DER: its own certificate, then those between it and its root; empty when it has shown none that is valid. */
  readonly chain: readonly Buffer[];
}

const nothingShown: ShownCertificate = { refusal: null, reason: "", chain: [] };
/** What a socket of node:tls has beside its documented fields. */
interface VerifyingSocket {
  /** The code of what is wrong with the peer's certificate; typed as an Error, and a text in a server. */
  readonly authorizationError?: unknown;
  readonly ssl?: { verifyError?(): { readonly message?: string } | null } | null;
}
/** Beyond it no chain is followed. */
const chainMax = 70;
/** DER, from a client's own certificate to what it was verified against; of sockets that are not secure yet, too. */
const shownChains = new WeakMap<TLSSocket, readonly Buffer[]>();

/**
 * Keeps what a client shows, to be called while its handshake is under way: when it is done, node:tls (24.21) looks at
 * the client's certificate and takes the others out of OpenSSL's chain by doing so.
 */
export function keepShownChain(socket: TLSSocket): void {
  socket.prependOnceListener("secure", () => {
    const own = socket.getPeerCertificate(true);
    shownChains.set(socket, own?.raw === undefined ? [] : chainOf(own));
  });
}

/**
 * What a client has shown, once its socket is secure. One whose chain was not kept is refused.
 * @param asked what the client was asked for; null for nothing
 */
export function shownCertificate(socket: TLSSocket, asked: ClientAuthenticationConfig | null): ShownCertificate {
  if (asked === null) return nothingShown;
  const chain = shownChains.get(socket);
  if (chain?.length === 0) {
    return asked.isRequired ? { ...nothingShown, refusal: "client_certificate_required" } : nothingShown;
  }
  // The last one is what it was verified against.
  const intermediates = chain?.slice(1, -1) ?? [];
  const reason =
    chain === undefined || !socket.authorized
      ? reasonOf(socket as VerifyingSocket)
      : intermediates.length > asked.depthMax
        ? "CERT_CHAIN_TOO_LONG"
        : "";
  if (reason !== "") return { refusal: "client_certificate_invalid", reason, chain: [] };
  return { refusal: null, reason, chain: [chain![0]!, ...intermediates] };
}

/** Not empty. Where node:tls has no code for what OpenSSL found, OpenSSL's words are all that tells one from another. */
function reasonOf({ authorizationError, ssl }: VerifyingSocket): string {
  const code = typeof authorizationError === "string" ? authorizationError : "UNSPECIFIED";
  if (code !== "UNSPECIFIED") return code;
  return ssl?.verifyError?.()?.message || code;
}

/** From a certificate to its root, as node:tls has it: the root is its own issuer, or has none. */
function chainOf(own: DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = [];
  let at: DetailedPeerCertificate | undefined = own;
  while (at?.raw !== undefined && chain.length < chainMax) {
    chain.push(at.raw);
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate;
  }
  return chain;
}

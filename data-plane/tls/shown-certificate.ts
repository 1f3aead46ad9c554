import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { ClientAuthenticationConfig } from "../config/tls-config.ts";

export type CertificateRefusal = "client_certificate_required" | "client_certificate_invalid";

/** What a client showed when it was asked for a certificate. */
export interface ShownCertificate {
  /** null: it may go on. */
  readonly refusal: CertificateRefusal | null;
  /** DER: its own certificate, then those between it and its root; empty when it has shown none that is valid. */
  readonly chain: readonly Buffer[];
}

const nothingShown: ShownCertificate = { refusal: null, chain: [] };
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
    return asked.isRequired ? { refusal: "client_certificate_required", chain: [] } : nothingShown;
  }
  // The last one is what it was verified against.
  const intermediates = chain?.slice(1, -1) ?? [];
  if (chain === undefined || !socket.authorized || intermediates.length > asked.depthMax) {
    return { refusal: "client_certificate_invalid", chain: [] };
  }
  return { refusal: null, chain: [chain[0]!, ...intermediates] };
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

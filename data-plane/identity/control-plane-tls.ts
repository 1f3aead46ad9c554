import { createHash, type X509Certificate } from "node:crypto";
import { checkServerIdentity as checkHostname, connect, createSecureContext, type PeerCertificate } from "node:tls";
import { credentials } from "@grpc/grpc-js";
import type { Access } from "../sync/sync-access.ts";

/** What the certificate of a control plane says it is, where the control plane's own authority issued it. */
const controlPlaneUri = /^URI:spiffe:\/\/[^/,"\s]+\/control-plane$/;

/** Sent as server name: an IP address may not be (RFC 6066 section 3), and no name is looked at. */
const serverName = "penstock";

/** What to show and whom to trust; PEM. */
export interface TlsMaterial {
  /** Null to show none. */
  readonly pair: { readonly cert: string; readonly key: string } | null;
  readonly authorities: string;
  /** By what a control plane is known: its SPIFFE id, or the name that it is reached under. */
  readonly knownBy: "spiffe_id" | "hostname";
}

/** Errors: throws where the material is none. @param address host:port */
export function accessWith({ pair, authorities, knownBy }: TlsMaterial, address: string): Access {
  const secureContext = createSecureContext({ ...(pair ?? {}), ca: authorities, minVersion: "TLSv1.3" });
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  const checkServerIdentity =
    knownBy === "spiffe_id"
      ? (_name: string, certificate: PeerCertificate) => checkSpiffeId(certificate)
      : (_name: string, certificate: PeerCertificate) => checkHostname(host, certificate);
  return {
    ok: true,
    credentials: credentials.createFromSecureContext(secureContext, { checkServerIdentity }),
    channelOptions: { "grpc.ssl_target_name_override": knownBy === "spiffe_id" ? serverName : nameOf(host) },
  };
}

function nameOf(host: string): string {
  return /^[\d.]+$|:/.test(host) ? serverName : host;
}

/** A node's own certificate is of the same authority: only this tells a control plane from a node that was stolen. */
function checkSpiffeId(certificate: PeerCertificate): Error | undefined {
  const isControlPlane = controlPlaneUri.test(certificate.subjectaltname ?? "");
  return isControlPlane ? undefined : new Error("the certificate is not a control plane's");
}

/** From the connect to the end of the handshake. */
const handshakeTimeoutMs = 5_000;

/**
 * The certificate, PEM, of an authority that is known by its digest alone, from the chain that a control plane shows.
 * What it is shown by proves nothing yet: the next connection verifies the control plane against it.
 * Errors: rejects with a reason for people.
 *
 * @param digest SHA-256 of its DER, hexadecimal
 */
export function fetchAuthority(address: string, digest: string): Promise<string> {
  const port = Number(/:(\d+)$/.exec(address)?.[1]);
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: serverName,
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.3",
      // Judged by its digest, below.
      rejectUnauthorized: false,
    });
    const fail = (reason: string) => {
      socket.destroy();
      reject(new Error(`${address}: ${reason}`));
    };
    socket.setTimeout(handshakeTimeoutMs, () => fail("no TLS handshake within 5 s"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      fail(
        error.code === "EPROTO" || error.code === "ECONNRESET"
          ? `the control plane takes no TLS (${error.code})`
          : error.message,
      ),
    );
    socket.once("secureConnect", () => {
      const found = chainOf(socket.getPeerX509Certificate()).find(({ raw }) => sha256(raw) === digest);
      if (found === undefined)
        fail("the control plane is not the one of the join token: its authority has another digest");
      else {
        socket.destroy();
        resolve(found.toString());
      }
    });
  });
}

function chainOf(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  // Bounded, since a root is its own issuer and a stranger may send anything.
  for (let one = leaf; one !== undefined && chain.length < 10; one = one.issuerCertificate) chain.push(one);
  return chain;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

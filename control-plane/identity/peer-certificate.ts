import { X509Certificate } from "node:crypto";
import type { PeerCall } from "../sync/stream-gate.ts";
import { keyHashOf } from "./read-certificate-request.ts";
import { certifiedNode } from "./spiffe-id.ts";

/** The node at the other end of a connection, by the certificate that TLS has verified. */
export interface PeerCertificate {
  readonly nodeId: string;
  /** "" where the certificate has none. */
  readonly spiffeId: string;
  /** SHA-256 of its public key (SPKI). */
  readonly keyHash: Uint8Array;
  readonly expiresAtMs: number;
}

/**
 * Null without a certificate that TLS has verified against the nodes' authority; "unnamed" for one that names no node.
 */
export function peerCertificate(call: PeerCall): PeerCertificate | "unnamed" | null {
  // grpc-js gives it of the call's own connection, and only when its issuer and dates were found right.
  const { raw, subject } = call.getAuthContext().sslPeerCertificate ?? {};
  if (raw === undefined) return null;
  const certificate = new X509Certificate(raw);
  const commonName: string | string[] | undefined = subject?.CN;
  const node = certifiedNode(certificate.subjectAltName, typeof commonName === "string" ? commonName : undefined);
  if (node === null) return "unnamed";
  const publicKey = certificate.publicKey.export({ type: "spki", format: "der" });
  return { ...node, keyHash: keyHashOf(publicKey), expiresAtMs: certificate.validToDate.getTime() };
}

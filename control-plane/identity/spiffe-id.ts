/** Trust domain of the authority that the control plane makes itself. */
export const trustDomain = "penstock";

/** What the control plane's certificate says it is. */
export const controlPlaneSpiffeId = `spiffe://${trustDomain}/control-plane`;

/** What a node's certificate says it is. @param nodeId lower-case uuid */
export function nodeSpiffeId(nodeId: string): string {
  return `spiffe://${trustDomain}/node/${nodeId}`;
}

/** Who a certificate is of: a node, by its id, and the SPIFFE id where there is one. */
export interface CertifiedNode {
  readonly nodeId: string;
  /** "" where the id is the common name's. */
  readonly spiffeId: string;
}

/**
 * The node of a certificate whose issuer is trusted: `/node/ID` in its one SPIFFE id, whatever the trust domain, or
 * without any SPIFFE id the common name. Null where it names no node.
 *
 * @param subjectAltName as node:crypto writes it
 * @param commonName undefined where there is none, or more than one
 */
export function certifiedNode(
  subjectAltName: string | undefined,
  commonName: string | undefined,
): CertifiedNode | null {
  const spiffeIds = uris(subjectAltName ?? "").filter((uri) => uri.startsWith("spiffe://"));
  // The SPIFFE X.509-SVID standard, section 2: exactly one.
  if (spiffeIds.length > 1) return null;
  const [spiffeId] = spiffeIds;
  const nodeId = spiffeId === undefined ? commonName : /^spiffe:\/\/[^/?#]+\/node\/([!-~]{1,128})$/.exec(spiffeId)?.[1];
  return nodeId === undefined || !/^[!-~]{1,128}$/.test(nodeId) ? null : { nodeId, spiffeId: spiffeId ?? "" };
}

/**
 * The URIs of a text such as `DNS:a, URI:"b, c", URI:d`. Values with a comma or a quote in them are JSON strings: one
 * must never be taken for several, or whoever may have a strange name could be anyone.
 */
function uris(subjectAltName: string): string[] {
  const found: string[] = [];
  const item = /([^:,"]+):(?:"((?:[^"\\]|\\.)*)"|([^,"]*))(?:, |$)/y;
  for (let match = item.exec(subjectAltName); match !== null; match = item.exec(subjectAltName)) {
    if (match[1] === "URI") found.push(match[3] ?? JSON.parse(`"${match[2]}"`));
    if (item.lastIndex === subjectAltName.length) return found;
  }
  // Not as expected: nobody is better than somebody.
  return [];
}

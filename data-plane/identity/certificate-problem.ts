import { type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

/**
 * Why a node cannot show a certificate as its own; null where it can. Of one that is not valid now nothing is said: the
 * node's clock may be the one that is wrong.
 * @param pem what a control plane gave, or what was kept of it
 */
export function certificateProblem(pem: string, nodeId: string, key: KeyObject): string | null {
  try {
    const { subjectAltName = "", validFromDate, validToDate } = new X509Certificate(pem);
    const isOurs = new RegExp(`(?:^|, )URI:spiffe://[^/,"]+/node/${nodeId}(?:$|, )`).test(subjectAltName);
    if (!isOurs) return "is not this node's";
    if (!(validFromDate.getTime() < validToDate.getTime())) return "is valid at no time";
    createSecureContext({ cert: pem, key: key.export({ type: "pkcs8", format: "pem" }) });
    return null;
  } catch (error) {
    return `cannot be used: ${(error as Error).message}`;
  }
}

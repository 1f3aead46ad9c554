import type { EndpointConfig } from "../config/worker-config.ts";

/**
 * Orders endpoints by what they are on every node: their address, port and host, never by their row or their place in a
 * message. Two that differ in nothing but their weight are in the order of that.
 */
export function compareIdentities(a: EndpointConfig, b: EndpointConfig): number {
  return (
    compareTexts(a.address, b.address) ||
    a.port - b.port ||
    compareTexts(a.hostHeader, b.hostHeader) ||
    a.weight - b.weight
  );
}

/** What names an endpoint, but for others of the same name. */
export function identityOf({ address, port, hostHeader }: EndpointConfig): string {
  return `${address} ${port} ${hostHeader}`;
}

/** By code units: the order of a locale may differ from node to node. */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

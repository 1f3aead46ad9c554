import { readHostAddress } from "./host-address.ts";

/**
 * An endpoint's address in the one form in which it is compared: `ip:port`, IPv6 in brackets and as RFC 5952 writes it.
 * Null when it is none.
 */
export function normalizeEndpointAddress(text: string): string | null {
  const read = readHostAddress(text);
  if (typeof read === "string" || read.type === "name" || read.port === undefined || read.port === 0) return null;
  // The URL standard writes IPv6 as RFC 5952 does, and the nodes do it in the same way.
  const host = read.type === "ipv6" ? new URL(`http://[${read.host}]/`).hostname : read.host;
  return `${host}:${read.port}`;
}

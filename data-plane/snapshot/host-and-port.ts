import { isIP } from "node:net";

/** A host as it is dialled and as it is written into a Host header. */
export interface HostAndPort {
  /** A hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * A host without port: a hostname, an IPv4 address, or an IPv6 address with or without brackets.
 * Returns it without brackets, or null when it could not be dialled or would break a header.
 */
export function parseHost(text: string): string | null {
  const host = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (host !== text) return isIP(host) === 6 ? host : null;
  if (isIP(host) !== 0) return host;
  // Looser than a DNS name (underscores are common), but nothing that could end a header line or begin a port.
  return /^[A-Za-z0-9._-]+$/.test(host) ? host : null;
}

/** `host:port`, with brackets around an IPv6 address; null when it is not that. */
export function parseHostAndPort(text: string): HostAndPort | null {
  const colon = text.lastIndexOf(":");
  const port = parsePort(text.slice(colon + 1));
  const hostText = text.slice(0, Math.max(colon, 0));
  // "::1:80" could be an address or an address and a port.
  if (port === null || (hostText.includes(":") && !hostText.startsWith("["))) return null;
  const host = parseHost(hostText);
  return host === null ? null : { host, port };
}

function parsePort(text: string): number | null {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : -1;
  return port >= 0 && port <= 65_535 ? port : null;
}

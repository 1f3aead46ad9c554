import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";

/**
 * The Host that a target gets.
 *
 * Source: Kong's order: preserve_host, then the upstream's host_header, then the endpoint's own name.
 * @param preserved host and port as the client sent them, where the route preserves them; "" otherwise
 */
export function targetHost(pool: PoolConfig, endpoint: EndpointConfig, preserved: string, isSecure: boolean): string {
  if (preserved !== "") return preserved;
  if (pool.hostHeader !== null) return pool.hostHeader;
  // An upstream's targets are the same for http and https services; a service's own host knows its protocol already.
  return isSecure && pool.isUpstream ? secureHost(endpoint) : endpoint.hostHeader;
}

/** The port is left out where it is the protocol's own, which the endpoint's header assumes to be 80. */
function secureHost({ hostHeader, port }: EndpointConfig): string {
  if (port === 443) return hostHeader.slice(0, -":443".length);
  return port === 80 ? `${hostHeader}:80` : hostHeader;
}

/** The name or address in a Host header, without port and brackets, lower case: what a target's certificate is for. */
export function hostName(host: string): string {
  if (host.startsWith("[")) return host.slice(1, host.indexOf("]"));
  const colon = host.indexOf(":");
  return (colon < 0 ? host : host.slice(0, colon)).toLowerCase();
}

import ipaddr from "ipaddr.js";
import type { HostAddress } from "./host-address.ts";

/** An address at which this control plane itself is reached. */
export interface OwnAddress {
  /** IP addresses, as any notation of them. With "0.0.0.0" or "::" among them, every loopback address is one. */
  readonly hosts: readonly string[];
  readonly port: number;
}

export const ownAddressMessage = "points at the control plane's own port";

/**
 * Whether requests to a host and port would come to the control plane itself: whoever may send requests through a node
 * could then change the configuration. Names are not looked up, but for localhost; what they resolve to is the nodes'
 * affair.
 */
export function isOwnAddress({ type, host }: HostAddress, port: number, own: readonly OwnAddress[]): boolean {
  const onPort = own.filter((one) => one.port === port);
  // To read addresses costs more than all other rules of a target.
  if (onPort.length === 0) return false;
  const meant = type === "name" ? addressesOfName(host) : [canonical(host)];
  return onPort.some(({ hosts }) => {
    const at = hosts.map(canonical);
    const isEverywhere = at.some(isUnspecified);
    // Connecting to the unspecified address is connecting to this machine.
    return meant.some(
      (one) =>
        at.includes(one) ||
        (isUnspecified(one) && at.some(isLoopback)) ||
        (isEverywhere && (isLoopback(one) || isUnspecified(one))),
    );
  });
}

function addressesOfName(name: string): readonly string[] {
  const isLocal = /^(?:.*\.)?localhost\.?$/i.test(name);
  return isLocal ? ["127.0.0.1", "::1"] : [];
}

/** One notation per address; an IPv4 address that is dressed as IPv6 is that IPv4 address. */
function canonical(host: string): string {
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : host;
}

function isLoopback(host: string): boolean {
  return ipaddr.isValid(host) && ipaddr.parse(host).range() === "loopback";
}

function isUnspecified(host: string): boolean {
  return ipaddr.isValid(host) && /^(?:0\.0\.0\.0|::)$/.test(host);
}

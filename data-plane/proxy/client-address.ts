import { isIP } from "node:net";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** What a head says about the hops before its sender; "" for a field that did not come. */
export interface AddressClaims {
  /** X-Forwarded-For, all lines joined by commas. */
  readonly forwardedFor: string;
  /** Forwarded, all lines joined by commas. */
  readonly forwarded: string;
  /** X-Real-IP. */
  readonly realIp: string;
}

/** A longer way than this is made up, or a loop. */
const hopsMax = 64;

/**
 * Who made a request that a trusted peer sent: from right to left, each hop was written by the one behind it, so the
 * first that is not trusted is the last that can be believed. X-Forwarded-For is read; only where there is none,
 * Forwarded; only where there is neither, X-Real-IP. Where a hop is hidden or cannot be read, the one behind it is
 * as far as anybody knows.
 *
 * Cost: about a microsecond per hop; nothing without trusted proxies.
 */
export function clientAddress(peer: string, claims: AddressClaims, trusted: TrustedProxies): string {
  const hops =
    claims.forwardedFor !== ""
      ? claims.forwardedFor.split(",")
      : claims.forwarded !== ""
        ? forwardedHops(claims.forwarded)
        : [claims.realIp];
  let client = peer;
  const last = Math.max(hops.length - hopsMax, 0);
  for (let i = hops.length - 1; i >= last; i--) {
    const address = readAddress(hops[i]!.trim());
    if (address === null) break;
    client = address;
    if (!trusted.has(address)) break;
  }
  return client;
}

/** An address with or without a port, or null. IPv6 may stand in brackets; IPv4 within IPv6 is told as IPv4. */
function readAddress(text: string): string | null {
  let address = text;
  if (text.startsWith("[")) {
    const match = /^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(text);
    if (match === null) return null;
    address = match[1]!;
  } else if (/^[0-9.]+:[0-9]{1,5}$/.test(text)) address = text.slice(0, text.indexOf(":"));
  if (isIP(address) === 0 || address.includes("%")) return null;
  const lower = address.toLowerCase();
  return lower.startsWith("::ffff:") && lower.includes(".") ? lower.slice(7) : lower;
}

/** The `for` of every element of a Forwarded field, "" where there is none. Source: RFC 7239 section 4. */
function forwardedHops(value: string): string[] {
  const hops = [""];
  // One pair, then what ends it; quoted text may contain both separators.
  const pairs = /\s*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?\s*([;,]|$)/gy;
  while (pairs.lastIndex < value.length) {
    const match = pairs.exec(value);
    // From here on nobody can say what belongs to which hop: the rest, which counts, cannot be believed.
    if (match === null) return [""];
    const [, name, quoted, token, end] = match;
    if (name?.toLowerCase() === "for") hops[hops.length - 1] = quoted?.replaceAll(/\\(.)/g, "$1") ?? token!;
    if (end === ",") hops.push("");
  }
  return hops;
}

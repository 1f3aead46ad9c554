import { isIP } from "node:net";

/** One spelling for each IP address: an IPv6 address is written in several ways. */
export function canonicalAddress(address: string): string {
  if (isIP(address) !== 6 || address.includes("%")) return address;
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

import { BlockList, isIP } from "node:net";

/** The addresses whose word on where a request came from is taken. */
export class TrustedProxies {
  readonly #ranges = new BlockList();

  /** @param ranges each as `parseRange` takes it; what it refuses is a bug of the caller */
  constructor(ranges: readonly string[]) {
    for (const text of ranges) {
      const range = parseRange(text);
      if (range === null) throw new Error(`not an address range: ${text}`);
      this.#ranges.addSubnet(range.address, range.prefixBits, range.family);
    }
  }

  /** @param address IPv4 or IPv6; an IPv4 address within IPv6 is the IPv4 address */
  has(address: string): boolean {
    if (!address.includes(":")) return this.#ranges.check(address, "ipv4");
    // A link-local peer has a zone, which no range has.
    const zoneAt = address.indexOf("%");
    return this.#ranges.check(zoneAt < 0 ? address : address.slice(0, zoneAt), "ipv6");
  }
}

interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
  readonly family: "ipv4" | "ipv6";
}

/** `10.0.0.0/8`, `fd00::/8`, or an address for itself alone; null for anything else. */
export function parseRange(text: string): AddressRange | null {
  const match = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(text);
  const version = isIP(match?.[1] ?? "");
  // A zone means nothing on another machine.
  if (match === null || version === 0 || match[1]!.includes("%")) return null;
  const bits = version === 4 ? 32 : 128;
  const prefixBits = match[2] === undefined ? bits : Number(match[2]);
  if (prefixBits > bits) return null;
  return { address: match[1]!, prefixBits, family: version === 4 ? "ipv4" : "ipv6" };
}

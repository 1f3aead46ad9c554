/**
 * The value of a name constraints extension, DER: URIs of one host, and neither hostnames, mail nor IP addresses.
 * Source: RFC 5280 section 4.2.1.10.
 */
export function nameConstraints(uriHost: string): Uint8Array<ArrayBuffer> {
  const rfc822Name = 0x81;
  const dnsName = 0x82;
  const uri = 0x86;
  const ipAddress = 0x87;
  const subtree = (tag: number, name: readonly number[]) => wrap(0x30, wrap(tag, name));
  const permitted = subtree(uri, [...Buffer.from(uriHost, "ascii")]);
  // An empty name stands for all of them, and a mask of zeros for every address.
  const excluded = [
    ...subtree(rfc822Name, []),
    ...subtree(dnsName, []),
    ...subtree(ipAddress, new Array<number>(8).fill(0)),
    ...subtree(ipAddress, new Array<number>(32).fill(0)),
  ];
  return new Uint8Array(wrap(0x30, [...wrap(0xa0, permitted), ...wrap(0xa1, excluded)]));
}

/** Of fewer than 128 bytes, which DER gives a length of one byte. */
function wrap(tag: number, bytes: readonly number[]): number[] {
  return [tag, bytes.length, ...bytes];
}

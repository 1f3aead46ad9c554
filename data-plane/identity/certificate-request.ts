import { createPublicKey, type KeyObject, sign } from "node:crypto";

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 section 3.2), as an algorithm identifier without parameters. */
const ecdsaWithSha256 = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/**
 * A certificate request, DER, that proves the possession of a private key and says nothing else: who the node is, it
 * says beside it. Written out here, since a library for it would take 18 MB of each node for these few bytes.
 * Source: RFC 2986 section 4.
 *
 * @param privateKey ECDSA on P-256
 */
export function certificateRequest(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const version = [0x02, 0x01, 0x00];
  const noSubject = [0x30, 0x00];
  const noAttributes = [0xa0, 0x00];
  const content = sequence([...version, ...noSubject, ...spki, ...noAttributes]);
  const signature = sign("sha256", content, privateKey);
  // A bit string begins with the number of bits in its last byte that do not count.
  const signatureBits = wrap(0x03, [0x00, ...signature]);
  return sequence([...content, ...ecdsaWithSha256, ...signatureBits]);
}

function sequence(bytes: readonly number[]): Uint8Array {
  return wrap(0x30, bytes);
}

/** Up to 65,535 bytes. */
function wrap(tag: number, bytes: readonly number[]): Uint8Array {
  const { length } = bytes;
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return new Uint8Array([tag, ...lengthBytes, ...bytes]);
}

import { mix32 } from "./mix32.ts";

/**
 * A hash of a text, 32 bits, unsigned: MurmurHash3 (x86, 32 bits, seed 0) of its UTF-16 code units, little-endian. The
 * same on every node and for ever: where requests of consistent hashing go depends on it.
 *
 * Cost: about 1 ns per character. Source: Austin Appleby, MurmurHash3, public domain.
 */
export function hash32(text: string): number {
  let hash = 0;
  const evenLength = text.length & ~1;
  for (let i = 0; i < evenLength; i += 2) {
    hash ^= scrambled(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  if (evenLength !== text.length) hash ^= scrambled(text.charCodeAt(evenLength));
  return mix32(hash ^ (text.length * 2));
}

function scrambled(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

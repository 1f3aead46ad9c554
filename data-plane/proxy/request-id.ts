import { randomBytes } from "node:crypto";

const hexBytes: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const blockSize = 65_536;

/**
 * Ids of 32 hexadecimal digits, unique over all nodes; not secret. A random prefix serves 65,536 ids, so that
 * an id costs four table lookups instead of a call for random bytes.
 */
export class RequestIds {
  #prefix = "";
  #used = blockSize;
  #mask = 0;

  next(): string {
    if (this.#used === blockSize) {
      const random = randomBytes(16);
      this.#prefix = random.toString("hex", 0, 12);
      this.#mask = random.readInt32LE(12);
      this.#used = 0;
    }
    // An odd factor and a mask only permute the 2^32 values: still unique, no longer a visible count.
    const mixed = Math.imul(this.#used++, 0x9e3779b1) ^ this.#mask;
    return (
      this.#prefix +
      hexBytes[mixed >>> 24]! +
      hexBytes[(mixed >>> 16) & 255]! +
      hexBytes[(mixed >>> 8) & 255]! +
      hexBytes[mixed & 255]!
    );
  }
}

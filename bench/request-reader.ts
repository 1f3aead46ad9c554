const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = Buffer.from("0\r\n\r\n");
const lengthNames = [Buffer.from("\r\nContent-Length: "), Buffer.from("\r\ncontent-length: ")];
const manyX = Buffer.alloc(65_536, "x");
const P = 0x50;

/**
 * Finds requests in what arrives on one of a target's connections. Bodies consist of "x" only, so that the end of a
 * chunked one can be searched for.
 */
export class RequestReader {
  #pending: Buffer = Buffer.alloc(0);

  /** Calls `onRequest` for each request once it is whole, with its head and how many "x" its body has. */
  read(arrived: Buffer, onRequest: (head: Buffer, bodyBytes: number) => void): void {
    let bytes = this.#pending.length === 0 ? arrived : Buffer.concat([this.#pending, arrived]);
    for (;;) {
      const end = bytes.indexOf(headEnd);
      if (end === -1) break;
      const bodyStart = end + headEnd.length;
      const bodyEnd = findBodyEnd(bytes, end, bodyStart);
      if (bodyEnd < 0 || bodyEnd > bytes.length) break;
      onRequest(bytes.subarray(0, end + 2), bodyEnd === bodyStart ? 0 : countX(bytes, bodyStart, bodyEnd));
      bytes = bytes.subarray(bodyEnd);
    }
    this.#pending = bytes;
  }
}

/** @returns -1 while the end of a chunked body is not here */
function findBodyEnd(bytes: Buffer, end: number, bodyStart: number): number {
  // GET: most of all requests, and reading their heads would cost more than answering them.
  if (bytes[0] !== P) return bodyStart;
  const length = contentLength(bytes, end);
  if (length >= 0) return bodyStart + length;
  const last = bytes.indexOf(lastChunk, bodyStart);
  return last === -1 ? -1 : last + lastChunk.length;
}

/** Peers write the name in one of two ways; decoding the head to look for it would cost more than the answer does. */
function contentLength(bytes: Buffer, end: number): number {
  for (const name of lengthNames) {
    const at = bytes.indexOf(name);
    if (at !== -1 && at < end) return Number.parseInt(bytes.toString("latin1", at + name.length, end), 10);
  }
  return -1;
}

/** Compared in one call where it consists of nothing else: one by one, the bytes of W3 cost more than all the rest. */
function countX(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  if (length <= manyX.length && manyX.compare(bytes, start, end, 0, length) === 0) return length;
  let count = 0;
  for (let at = start; at < end; at++) if (bytes[at] === 0x78) count++;
  return count;
}

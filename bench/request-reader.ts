const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = Buffer.from("0\r\n\r\n");
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
  const head = bytes.toString("latin1", 0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) return bodyStart + Number(length);
  const last = bytes.indexOf(lastChunk, bodyStart);
  return last === -1 ? -1 : last + lastChunk.length;
}

function countX(bytes: Buffer, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at++) if (bytes[at] === 0x78) count++;
  return count;
}

import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { cutOff } from "./cut-off.ts";
import { LookedAt } from "./looked-at.ts";

const lookEveryMs = 250;
/** Of a connection, in that time: heads that no call came of, and frames of control. */
const unpaidBytesMax = 256 * 1024;
/** Of a field in HPACK, beside name and value, and of a frame. */
const frameBytes = 16;

interface Watched {
  readonly session: ServerHttp2Session;
  /** Of calls, as they were handed to somebody: heads, which were no longer than that, and contents. */
  paidBytes: number;
  /** What had come beside those at the last look. */
  unpaidBytes: number;
}

const watched = new LookedAt<Watched>(lookEveryMs, look);

/**
 * Cuts off a connection that sends little else than heads that no call comes of. One that HPACK makes large, a byte for
 * each field, is refused by node:http2 once it has been read to its end, which takes a millisecond for 16 KB, and nobody is
 * told of it: what is counted here is what has come and was not handed to a call. What node:http2 reads by itself, up to
 * 2 MB, goes through before this can be looked at.
 */
export function limitHeads(session: ServerHttp2Session): void {
  const one: Watched = { session, paidBytes: 0, unpaidBytes: 0 };
  session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    for (const [name, value] of Object.entries(headers))
      one.paidBytes += name.length + String(value).length + frameBytes;
    const { push } = stream;
    // Each piece of its content, whether somebody reads it or not.
    stream.push = (chunk: Buffer | null, encoding) => {
      one.paidBytes += (chunk?.length ?? 0) + frameBytes;
      return push.call(stream, chunk, encoding);
    };
  });
  watched.add(one);
  session.once("close", () => watched.delete(one));
}

function look(one: Watched): void {
  const { session, paidBytes } = one;
  const unpaidBytes = (session.socket?.bytesRead ?? 0) - paidBytes;
  if (unpaidBytes - one.unpaidBytes > unpaidBytesMax) cutOff(session);
  one.unpaidBytes = unpaidBytes;
  if (session.destroyed) watched.delete(one);
}

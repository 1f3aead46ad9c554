import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { cutOff } from "./cut-off.ts";

const lookEveryMs = 250;
/** Of a connection, in that time: heads and frames of control, all but the contents of calls. A call has some 100. */
const headBytesMax = 256 * 1024;

/**
 * Cuts off a connection that sends little else than heads. One that HPACK makes large, a byte for each field, is refused by
 * node:http2 once it has been read to its end, which takes a millisecond for 16 KB, and nobody is told of it: what is
 * counted here is what has come and was not handed to a call. A read of 2 MB goes through before this can be looked at.
 */
export function limitHeads(session: ServerHttp2Session): void {
  let contentBytes = 0;
  let beforeBytes = 0;
  session.on("stream", (stream: ServerHttp2Stream) => {
    const { push } = stream;
    // Each piece of its content, whether somebody reads it or not.
    stream.push = (chunk: Buffer | null, encoding) => {
      contentBytes += chunk?.length ?? 0;
      return push.call(stream, chunk, encoding);
    };
  });
  const looks = setInterval(() => {
    const headBytes = (session.socket?.bytesRead ?? 0) - contentBytes;
    if (headBytes - beforeBytes > headBytesMax) cutOff(session);
    beforeBytes = headBytes;
  }, lookEveryMs).unref();
  session.once("close", () => clearInterval(looks));
}

import { constants, type ServerHttp2Session } from "node:http2";

/** Ends a connection that costs more than it may, and says why. */
export function cutOff(session: ServerHttp2Session): void {
  if (session.destroyed) return;
  session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  session.destroy();
}

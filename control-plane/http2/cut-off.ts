import { constants, type ServerHttp2Session } from "node:http2";

/** Ends a connection that costs more than it may, and says why. */
export function cutOff(session: ServerHttp2Session): void {
  if (session.destroyed) return;
  session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  session.destroy();
}

/** @returns what counts something of a connection, and cuts it off when there is more of that within a second */
export function cutOffAbove(session: ServerHttp2Session, perSecondMax: number): () => void {
  let count = 0;
  let windowStartMs = performance.now();
  return () => {
    const nowMs = performance.now();
    if (nowMs - windowStartMs >= 1_000) {
      windowStartMs = nowMs;
      count = 0;
    }
    if (++count > perSecondMax) cutOff(session);
  };
}

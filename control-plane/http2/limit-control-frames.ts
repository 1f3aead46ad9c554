import type { ServerHttp2Session } from "node:http2";
import { cutOff } from "./cut-off.ts";

/** Pings and settings that one connection may send within a second while nothing else is sent to it; a node sends a ping in four. */
const CONTROL_FRAMES_PER_SECOND = 100;
/** Of the answers to a ping and to settings (RFC 9113 sections 6.7 and 6.5). */
const PING_BYTES = 17;
const SETTINGS_BYTES = 9;

/**
 * Cuts off a connection that floods us with what has to be answered and is no call: pings and settings. node:http2 limits
 * how many of their answers wait to be sent, and nothing where the other end reads them. As in gRPC's own servers, who was
 * sent something else begins anew: clients in Go measure the connection by a ping after each piece of an answer.
 */
export function limitControlFrames(session: ServerHttp2Session): void {
  let count = 0;
  let windowStartMs = performance.now();
  let answerBytes = 0;
  /** Most bytes that were certainly sent beside those answers, of which some may still be on their way. */
  let otherBytes = 0;
  const countFrame = (bytes: number) => {
    if (session.destroyed) return;
    const nowMs = performance.now();
    answerBytes += bytes;
    const sentBytes = (session.socket?.bytesWritten ?? 0) - answerBytes;
    if (sentBytes > otherBytes || nowMs - windowStartMs >= 1_000) {
      otherBytes = Math.max(otherBytes, sentBytes);
      windowStartMs = nowMs;
      count = 0;
    }
    if (++count > CONTROL_FRAMES_PER_SECOND) cutOff(session);
  };
  session.on("ping", () => countFrame(PING_BYTES));
  session.on("remoteSettings", () => countFrame(SETTINGS_BYTES));
}

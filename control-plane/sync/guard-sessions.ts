import { constants, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** Pings and settings that one connection may send within a second; a node sends a ping in ten. */
const CONTROL_FRAMES_PER_SECOND = 100;

/**
 * Cuts off connections that flood a gRPC server with what has to be answered and is no call: pings and settings.
 * node:http2 limits how many of their answers wait to be sent, and nothing where the other end reads them. grpc-js
 * hands out no HTTP/2 servers, so they are taken from a property that it does not promise: sync-floods.test.ts fails
 * when that is gone.
 */
export function guardSessions(server: Server): void {
  const servers: ReadonlyMap<Http2Server, unknown> = Reflect.get(server, "http2Servers");
  for (const http2Server of servers.keys()) http2Server.on("session", guardSession);
}

function guardSession(session: ServerHttp2Session): void {
  let count = 0;
  let windowStartMs = performance.now();
  const countFrame = () => {
    const nowMs = performance.now();
    if (nowMs - windowStartMs >= 1_000) {
      windowStartMs = nowMs;
      count = 0;
    }
    if (++count <= CONTROL_FRAMES_PER_SECOND || session.destroyed) return;
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  };
  session.on("ping", countFrame);
  session.on("remoteSettings", countFrame);
}

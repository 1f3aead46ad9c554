import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { cutOffAbove } from "./cut-off.ts";
import { limitControlFrames } from "./limit-control-frames.ts";
import { limitHeads } from "./limit-heads.ts";

/** Calls that one connection may begin within a second; a node has one, and begins another to replace it. */
const CALLS_PER_SECOND = 100;

/**
 * Limits the calls, heads and control frames of a gRPC server's connections. grpc-js hands out no HTTP/2 servers, so they
 * are taken from a property that it does not promise: sync-floods.test.ts fails when that is gone.
 */
export function guardSessions(server: Server): void {
  const servers: ReadonlyMap<Http2Server, unknown> = Reflect.get(server, "http2Servers");
  for (const http2Server of servers.keys()) {
    for (const limit of [limitControlFrames, limitHeads, limitCalls]) http2Server.on("session", limit);
  }
}

/**
 * Cuts off a connection whose calls end as they begin: node:http2 takes a thousand resets at once, each of a call that
 * cost us.
 */
function limitCalls(session: ServerHttp2Session): void {
  session.on("stream", cutOffAbove(session, CALLS_PER_SECOND));
}

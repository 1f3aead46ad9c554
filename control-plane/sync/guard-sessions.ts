import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { cutOffAbove } from "../http2/cut-off.ts";
import { limitControlFrames } from "../http2/limit-control-frames.ts";
import { limitHeads } from "../http2/limit-heads.ts";

/** Calls that one connection may begin within a second; a node has one, and begins another to replace it. */
const CALLS_PER_SECOND = 100;

/**
 * Limits the calls, heads and control frames of the connections that are handed to a gRPC server. grpc-js hands out no
 * HTTP/2 server, so it is taken from a property that is not promised: sync-floods.test.ts fails when that is gone.
 *
 * @param server with an injector and no address of its own
 */
export function guardedSessions(server: Server): Http2Server {
  const servers: ReadonlyMap<Http2Server, unknown> = Reflect.get(server, "http2Servers");
  const [http2Server] = servers.keys();
  if (http2Server === undefined) throw new Error("a gRPC server without an injector");
  for (const limit of [limitControlFrames, limitHeads, limitCalls]) http2Server.on("session", limit);
  passOverEnded(http2Server);
  return http2Server;
}

/**
 * Has nobody told of calls that are over. Of a connection that is read by a PacedSocket, calls are told of when a piece has
 * been parsed, in which they may have been reset; grpc-js answers some of them without a look, which ends the process.
 */
function passOverEnded(http2Server: Http2Server): void {
  const told = http2Server.listeners("stream");
  http2Server.removeAllListeners("stream");
  http2Server.on("stream", (stream: ServerHttp2Stream, ...rest: unknown[]) => {
    // Its error, if any, is nobody's.
    if (stream.destroyed || stream.closed) stream.on("error", () => {});
    else for (const listener of told) Reflect.apply(listener, http2Server, [stream, ...rest]);
  });
}

/**
 * Cuts off a connection whose calls end as they begin: node:http2 takes a thousand resets at once, each of a call that
 * cost us.
 */
function limitCalls(session: ServerHttp2Session): void {
  session.on("stream", cutOffAbove(session, CALLS_PER_SECOND));
}

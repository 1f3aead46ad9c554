import type { Http2Server } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { limitControlFrames } from "./limit-control-frames.ts";

/**
 * Limits the control frames of a gRPC server's connections. grpc-js hands out no HTTP/2 servers, so they are taken from a
 * property that it does not promise: sync-floods.test.ts fails when that is gone.
 */
export function guardSessions(server: Server): void {
  const servers: ReadonlyMap<Http2Server, unknown> = Reflect.get(server, "http2Servers");
  for (const http2Server of servers.keys()) http2Server.on("session", limitControlFrames);
}

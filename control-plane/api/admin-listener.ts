import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server, Socket } from "node:net";
import type { Log } from "../telemetry/log.ts";
import {
  type AnyRequest,
  type AnyResponse,
  answer,
  answerGrpcUnimplemented,
  headerValues,
  isGrpc,
  pathOf,
} from "./answer.ts";
import { bindListen, boundAddress, type ListenAddress } from "./bind-listen.ts";
import { checkCaller } from "./check-caller.ts";
import type { RpcFace } from "./grpc/rpc-face.ts";
import { http1Connections } from "./http1-connections.ts";
import { http2Sessions } from "./http2-sessions.ts";
import { sniffProtocol } from "./sniff-protocol.ts";

export interface AdminListenerLimits {
  /** Connections open at once on each address. Default: 1024. */
  readonly maxConnections: number;
  /** How long the first bytes, and then the head of a request, may take. Default: 10 s. */
  readonly headTimeoutMs: number;
  /** How long a whole HTTP/1.1 request may take to come in. Default: 120 s. */
  readonly requestTimeoutMs: number;
  /** How long an HTTP/1.1 connection may wait for its next request. Default: 75 s. */
  readonly keepAliveTimeoutMs: number;
  /** How long an HTTP/2 session may stay without any stream. Default: 10 min. */
  readonly idleTimeoutMs: number;
  /** Size of a request's head. Default: 32 KiB. */
  readonly headerMaxBytes: number;
  /** Streams open at once in an HTTP/2 session; fewer than 100 nobody expects (RFC 9113 section 6.5.2). Default: 100. */
  readonly maxConcurrentStreams: number;
  /** Streams that may be reset in an HTTP/2 session within a second. Default: 100. */
  readonly maxResetsPerSecond: number;
  /** How long `close` lets requests finish. Default: 10 s. */
  readonly closeGraceMs: number;
}

const defaultLimits: AdminListenerLimits = {
  maxConnections: 1024,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  keepAliveTimeoutMs: 75_000,
  idleTimeoutMs: 600_000,
  headerMaxBytes: 32 * 1024,
  maxConcurrentStreams: 100,
  maxResetsPerSecond: 100,
  closeGraceMs: 10_000,
};

export interface AdminListenerOptions {
  readonly listens: readonly ListenAddress[];
  /** Names under which the admin port is reached, besides localhost and the address itself. Without ports. */
  readonly adminHosts: readonly string[];
  /** Answers every HTTP/1.1 request that is no RPC. */
  readonly rest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly rpc: Pick<RpcFace, "serves" | "handle">;
  readonly log: Log;
  readonly limits?: Partial<AdminListenerLimits>;
}

export interface AdminListener {
  /** `host:port` of each bound address. */
  readonly addresses: readonly string[];
  /** Accepts no more, lets what is under way finish, then cuts off what is left. */
  close(): Promise<void>;
}

/** Names by which a machine calls itself. */
const localHosts = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Opens the admin port: Kong's REST over HTTP/1.1, and gRPC, gRPC-Web and Connect over HTTP/1.1 or HTTP/2, told apart
 * by the first bytes and the path. Requests that a foreign web page makes a browser send are refused.
 *
 * Errors: ListenError.
 */
export async function startAdminListener(options: AdminListenerOptions): Promise<AdminListener> {
  const limits = { ...defaultLimits, ...options.limits };
  const dispatching: Dispatching = { ...options, hostsAt: servedHosts(options.adminHosts) };
  const http1 = http1Connections((request, response) => dispatch(dispatching, request, response), limits);
  const http2 = http2Sessions((request, response) => dispatch(dispatching, request, response), limits);
  const sockets = new Set<Socket>();
  const undecided = new Set<Socket>();
  const accept = (socket: Socket) => {
    sockets.add(socket);
    undecided.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      undecided.delete(socket);
    });
    sniffProtocol(socket, limits.headTimeoutMs, (protocol) => {
      undecided.delete(socket);
      if (protocol === "http2") {
        http2.accept(socket);
        return;
      }
      http1.server.emit("connection", socket);
      // node:http waits for the socket to flow.
      socket.resume();
    });
  };
  const servers: Server[] = [];
  let closing: Promise<unknown> | undefined;
  const close = async () => {
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of undecided) socket.destroy();
    http1.close();
    http2.close();
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, limits.closeGraceMs);
    await Promise.all(closed);
    clearTimeout(timer);
  };
  try {
    for (const listen of options.listens) servers.push(...(await bindListen(listen, accept, limits.maxConnections)));
  } catch (error) {
    await close();
    throw error;
  }
  const { maxConnections } = limits;
  // Told once: the flood that causes it must not fill the log as well.
  for (const server of servers)
    server.once("drop", () =>
      options.log.warn({ maxConnections }, "too many admin connections; further ones are closed"),
    );
  return {
    addresses: servers.map(boundAddress),
    close: async () => {
      closing ??= close();
      await closing;
    },
  };
}

/** A request on its way to a face. */
interface Dispatching extends AdminListenerOptions {
  /** Names under which a local address may be reached. */
  readonly hostsAt: (localAddress: string | undefined) => ReadonlySet<string>;
}

/** Sends a request to its face. Nothing that a face throws goes further: it would end the process. */
function dispatch(options: Dispatching, request: AnyRequest, response: AnyResponse): void {
  // A client that leaves is an error event of these, at a time when no reader may listen any more: without a listener
  // it would be thrown.
  request.on("error", ignore);
  response.on("error", ignore);
  try {
    if (isRefused(options, request, response)) return;
    if (options.rpc.serves(pathOf(request.url))) options.rpc.handle(request, response);
    else if (request.httpVersionMajor === 1) options.rest(request as IncomingMessage, response as ServerResponse);
    else if (isGrpc(request)) answerGrpcUnimplemented(response);
    else answer(response, 505, { message: "over HTTP/2 only RPCs are served here; use HTTP/1.1 for REST" });
  } catch (error) {
    options.log.error({ err: error, method: request.method, path: pathOf(request.url) }, "an admin request failed");
    if (response.headersSent) response.destroy();
    else answer(response, 500, { message: "An unexpected error occurred" });
  }
}

function ignore(): void {}

function isRefused(options: Dispatching, request: AnyRequest, response: AnyResponse): boolean {
  const { headers, socket } = request;
  const caller = {
    method: request.method ?? "",
    authorities: authoritiesOf(request),
    origin: headers.origin,
    fetchSite: headers["sec-fetch-site"]?.toString(),
  };
  const reason = checkCaller(caller, options.hostsAt(socket.localAddress));
  if (reason === null) return false;
  options.log.warn({ reason, method: request.method, remote: socket.remoteAddress }, "admin request refused");
  // The rest of an HTTP/1.1 request is not worth reading.
  answer(response, 403, { message: reason }, request.httpVersionMajor === 1 ? { connection: "close" } : {});
  return true;
}

/** Remembers the last address: mostly there is one. */
function servedHosts(adminHosts: readonly string[]): Dispatching["hostsAt"] {
  let lastAddress: string | undefined;
  let lastHosts: ReadonlySet<string> | null = null;
  return (localAddress) => {
    if (lastHosts === null || localAddress !== lastAddress) {
      lastAddress = localAddress;
      lastHosts = new Set([...localHosts, ...adminHosts, hostOf(localAddress)]);
    }
    return lastHosts;
  };
}

/** Every name that a request calls us by. It passes only with all of them, so that no two readers can see different ones. */
function authoritiesOf(request: AnyRequest): string[] {
  // RFC 9112 section 3.2.2: in the absolute form the name in the target is the one that counts.
  const inTarget = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url ?? "")?.[1];
  const hosts = request.httpVersionMajor === 1 ? headerValues(request, "host") : [request.headers.host];
  return [inTarget, request.headers[":authority"], ...hosts].filter((value) => typeof value === "string");
}

/** The address that a connection was made to, as a Host header spells it. */
function hostOf(localAddress: string | undefined): string {
  const address = localAddress?.replace(/^::ffff:(?=\d+\.)/, "") ?? "";
  return address.includes(":") ? `[${address}]` : address;
}

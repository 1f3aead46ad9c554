import type { Http2Server } from "node:http2";
import net from "node:net";
import { promisify } from "node:util";
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { SyncAPI } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { handOver } from "../http2/hand-over.ts";
import { servePaced } from "../http2/paced-socket.ts";
import { FewPerTurn, type Queued } from "../steps/few-per-turn.ts";
import { grpcDefinition } from "./grpc-definition.ts";
import { guardedSessions } from "./guard-sessions.ts";
import { sharedFrames } from "./shared-frames.ts";
import type { NodeCall } from "./snapshot-sender.ts";

/** Where to listen; port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface SyncListenerOptions {
  /** The first must be bindable; further ones are its twins and take its port where theirs is 0. */
  readonly listen: readonly ListenAddress[];
  /** Connections at a time and address; more are closed as they come. */
  readonly connectionMaxCount: number;
  /** Of one message from a node. */
  readonly messageMaxBytes: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Time for streams to end by themselves when closing. */
  readonly closeGraceMs: number;
  readonly onConnect: (call: NodeCall) => void;
  /** Takes the connections before gRPC gets them. Default: none, the port is plain. */
  readonly tls?: ConnectionTls;
  /** Further services on the port. Default: none. */
  readonly services?: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  }[];
}

/** TLS in front of gRPC. */
export interface ConnectionTls {
  /** @param inject gets each connection once its handshake is done, and whether its certificate is one that is trusted */
  serve(inject: (connection: net.Socket, isVerified: boolean) => void): { accept(connection: net.Socket): void };
}

export interface SyncListener {
  /** As bound. */
  readonly addresses: readonly ListenAddress[];
  close(): Promise<void>;
}

/** One stream per connection is the rule; a node that replaces its stream may have two for a moment. */
const STREAMS_PER_CONNECTION = 4;

/**
 * Connections that are taken in one turn of the event loop. A fleet that comes back brings hundreds between two turns,
 * and an HTTP/2 session costs 0.1 ms and memory that every collection moves: up to 190 ms in one turn otherwise
 * (`npm run prove -- thousand-nodes`).
 */
const CONNECTIONS_PER_TURN = 8;

/** Of a peer that nobody vouches for, at a time: 70 calls at most, which take 10 ms. */
const strangersPieceBytes = 2 * 1024;

/**
 * Connections that are read in pieces at a time where there is no TLS, and everybody may be a node: in pieces, 1,000 cost a
 * fifth more CPU and 80 MB (`npm run prove -- thousand-nodes`).
 */
const plainPacedMaxCount = 64;

/** A connection without a call is closed after this: strangers may open some, too. */
const IDLE_MAX_MS = 60_000;

/**
 * Serves SyncAPI. The sockets are ours and are handed to grpc-js: its own binding says neither why a port could not
 * be bound in a form to act on, nor limits connections.
 * Errors: rejects with the error of `listen` (EADDRINUSE, EACCES, ...).
 */
export async function openSyncListener(options: SyncListenerOptions): Promise<SyncListener> {
  const server = new Server({
    "grpc.max_receive_message_length": options.messageMaxBytes,
    // What we send is cut into chunks by ourselves; a single entity may be larger than a chunk.
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    "grpc.max_connection_idle_ms": IDLE_MAX_MS,
    "grpc.enable_channelz": 0,
    interceptors: [sharedFrames],
  });
  server.addService(grpcDefinition(SyncAPI), { connect: (call: NodeCall) => options.onConnect(call) });
  for (const { definition, implementation } of options.services ?? []) server.addService(definition, implementation);
  server.createConnectionInjector(ServerCredentials.createInsecure());
  const accept = acceptor(options.tls, guardedSessions(server));
  const connections = new Set<net.Socket>();
  const sockets: net.Server[] = [];
  try {
    await bindAll(options, sockets, (connection) => {
      connections.add(connection);
      connection.once("close", () => connections.delete(connection));
      accept(connection);
    });
  } catch (error) {
    await closeListener(server, { sockets, connections }, 0);
    throw error;
  }
  return {
    addresses: sockets.map(boundAddress),
    close: () => closeListener(server, { sockets, connections }, options.closeGraceMs),
  };
}

type Accept = (connection: net.Socket) => void;

/**
 * What is done with each connection. gRPC knows of no TLS here: it gets sockets that are secured already. A node that showed
 * its certificate is read as fast as node:http2 can, everybody else in pieces; without TLS, as many as are worth it.
 */
function acceptor(tls: ConnectionTls | undefined, http2Server: Http2Server): Accept {
  let pacedCount = 0;
  const serve = (connection: net.Socket, isVerified: boolean) => {
    if (isVerified || (tls === undefined && pacedCount === plainPacedMaxCount)) {
      handOver(http2Server, connection);
      return;
    }
    pacedCount++;
    connection.once("close", () => pacedCount--);
    servePaced(http2Server, connection, strangersPieceBytes);
  };
  const served = tls?.serve(serve);
  const take = (connection: net.Socket) =>
    served === undefined ? serve(connection, false) : served.accept(connection);
  const waiting = new FewPerTurn<Queued & { readonly connection: net.Socket }>(
    CONNECTIONS_PER_TURN,
    ({ connection }) => {
      if (connection.destroyed) return;
      take(connection);
      connection.resume();
    },
  );
  return (connection) => waiting.add({ connection, isQueued: false });
}

async function bindAll(options: SyncListenerOptions, sockets: net.Server[], accept: Accept) {
  for (const { host, port } of options.listen) {
    // Nothing is read of a connection before its turn: whoever takes it would not get that.
    const socket = net.createServer({ noDelay: true, pauseOnConnect: true }, accept);
    socket.maxConnections = options.connectionMaxCount;
    const firstPort = sockets[0] === undefined ? 0 : boundAddress(sockets[0]).port;
    try {
      await listening(socket, { host, port: port === 0 ? firstPort : port, ipv6Only: options.listen.length > 1 });
      sockets.push(socket);
    } catch (error) {
      // A machine without the twin's address family is no fault.
      const code = (error as NodeJS.ErrnoException).code;
      if (sockets.length === 0 || (code !== "EADDRNOTAVAIL" && code !== "EAFNOSUPPORT")) throw error;
    }
  }
}

function listening(socket: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.listen(options, () => {
      socket.off("error", reject);
      // Such as EMFILE when accepting: the connection is lost, the listener is not.
      socket.on("error", () => {});
      resolve();
    });
  });
}

function boundAddress(socket: net.Server): ListenAddress {
  const address = socket.address();
  if (address === null || typeof address === "string") throw new Error("a TCP listener without an address");
  return { host: address.address, port: address.port };
}

interface OpenSockets {
  readonly sockets: readonly net.Server[];
  readonly connections: ReadonlySet<net.Socket>;
}

async function closeListener(server: Server, { sockets, connections }: OpenSockets, graceMs: number): Promise<void> {
  // Each when its last connection is gone.
  const closed = Promise.all(sockets.map((socket) => promisify(socket.close.bind(socket))()));
  if (graceMs > 0) {
    let timer: NodeJS.Timeout | undefined;
    const graceOver = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    // It calls back before streams have ended: Node takes sessions for closed as soon as they are to be.
    server.tryShutdown(() => {});
    await Promise.race([closed, graceOver]);
    clearTimeout(timer);
  }
  server.forceShutdown();
  // HTTP/2 waits for the other side to close as well, and gRPC knows nothing of those that wait for their turn.
  for (const connection of connections) connection.destroy();
  await closed;
}

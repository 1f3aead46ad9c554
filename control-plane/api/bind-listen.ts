import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** Where to listen. */
export interface ListenAddress {
  /** Address or hostname, without brackets. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** The same port is also opened on this address, where the machine has it. */
  readonly twinHost?: string;
}

/** An address could not be bound: a one-line message that says which and why. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** A machine without IPv6 says so in one of these ways. */
const noSuchAddress: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

/** Free ports tried until one is free on both twins. */
const maxTwinAttempts = 10;

/**
 * Binds an address, and its twin where there is one.
 * Errors: ListenError.
 * @param maxConnections connections open at once on each; more are closed as they come
 */
export async function bindListen(
  listen: ListenAddress,
  onConnection: (socket: Socket) => void,
  maxConnections: number,
): Promise<Server[]> {
  for (let attempt = 1; ; attempt++) {
    const server = await bind(listen.host, listen.port, onConnection, maxConnections);
    if (listen.twinHost === undefined) return [server];
    try {
      return [server, await bind(listen.twinHost, portOf(server), onConnection, maxConnections)];
    } catch (error) {
      if (noSuchAddress.has(codeOf(error))) return [server];
      server.close();
      // The free port of one address family may be taken in the other.
      if (listen.port !== 0 || attempt === maxTwinAttempts) throw error;
    }
  }
}

/** `host:port`, as it is typed into a client. */
export function boundAddress(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("the server is not bound to a port");
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

/** What an error of `listen` means to the user. */
export function listenError({ host, port }: ListenAddress, cause: unknown): ListenError {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new ListenError(`cannot listen on ${address}: ${reasonOf(cause)}`, { cause });
}

async function bind(
  host: string,
  port: number,
  onConnection: (socket: Socket) => void,
  maxConnections: number,
): Promise<Server> {
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, onConnection);
  server.maxConnections = maxConnections;
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (error) {
    throw listenError({ host, port }, error);
  }
  // What a listening server meets later (no file descriptors left) passes; the connection in question is lost.
  server.on("error", () => {});
  return server;
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return "the port is in use by another process";
    case "EACCES":
      return "no permission to use this port";
    case "EADDRNOTAVAIL":
      return "this machine has no such address";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the name does not resolve";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

function codeOf(error: unknown): string {
  const failure = error instanceof ListenError ? error.cause : error;
  return (failure as NodeJS.ErrnoException).code ?? "";
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port;
}

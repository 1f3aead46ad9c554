import { createServer, type ListenOptions } from "node:net";

/** What became of an attempt to listen, the listener closed again. */
export type PortProbe =
  | { readonly type: "free" }
  /** This machine has no such address or no such family, IPv6 mostly. */
  | { readonly type: "no_address"; readonly message: string }
  | { readonly type: "in_use"; readonly message: string }
  | { readonly type: "refused"; readonly message: string };

/**
 * Listens for a moment without sharing the port. Workers share it (`reusePort`), and so would silently share it with
 * any other program that does the same.
 */
export function probePort(host: string, port: number): Promise<PortProbe> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
      resolve({
        type: PROBE_TYPES[error.code ?? ""] ?? "refused",
        message: `cannot listen on ${address}: ${reasonOf(error)}`,
      });
    });
    server.listen({ host, port, ipv6Only: host === "::", exclusive: true }, () => {
      server.close(() => resolve({ type: "free" }));
    });
  });
}

/** Whether several threads may listen on one port here: on Linux and a few others, not on macOS or Windows. */
export function canSharePort(listenOptions: ListenOptions = { host: "127.0.0.1", reusePort: true }): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ ...listenOptions, port: 0 }, () => server.close(() => resolve(true)));
  });
}

const PROBE_TYPES: Readonly<Record<string, "no_address" | "in_use">> = {
  EAFNOSUPPORT: "no_address",
  EADDRNOTAVAIL: "no_address",
  EADDRINUSE: "in_use",
};

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "EADDRINUSE") return "the port is in use";
  if (error.code === "EACCES") return "permission denied";
  return error.message;
}

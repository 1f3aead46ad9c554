/**
 * An HTTP server that fails on order, in a process of its own so that it can be killed and stopped for real.
 *
 * GET /__mode?to=MODE sets what it does with every request from then on; GET /__executed answers how often each POST
 * was executed, by path: of clients, that is; a node asks what hung by OPTIONS, as often as it likes. Every answer names the target in `x-target`.
 *
 * Usage: node fault-target.ts NAME [PORT]; prints one JSON line {"name","port"} when it listens.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/**
 * "drop" ends every connection and accepts none any more: with its queue full, connection attempts are dropped.
 * "slow" answers after 3 s.
 */
export type FaultMode = "ok" | "503" | "reset" | "drop" | "slow";

const slowMs = 3_000;
/** Long enough for a busy machine, short enough to be filled. */
export const acceptQueueLength = 64;

function serve(name: string, port: number): void {
  let mode: FaultMode = "ok";
  const executed = new Map<string, number>();
  const sockets = new Set<Socket>();

  const block = () => {
    for (const socket of sockets) socket.destroy();
    // In the next turn, when they are closed; nothing wakes this up.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  };

  const control = (url: URL, response: ServerResponse) => {
    if (url.pathname === "/__executed") {
      response.end(JSON.stringify(Object.fromEntries(executed)));
      return;
    }
    mode = url.searchParams.get("to") as FaultMode;
    response.end("{}", () => {
      if (mode === "drop") block();
    });
  };

  const fail = (request: IncomingMessage, response: ServerResponse) => {
    if (mode === "reset") request.socket.resetAndDestroy();
    else answer(response, 503);
  };

  const answer = (response: ServerResponse, status: number) => {
    response.writeHead(status, { "content-length": 2, "x-target": name });
    response.end("ok");
  };

  const server = createServer({ noDelay: true }, (request, response) => {
    const url = new URL(request.url ?? "/", "http://target");
    if (url.pathname.startsWith("/__")) {
      control(url, response);
      return;
    }
    request.resume();
    request.on("end", () => {
      if (request.method === "POST") executed.set(url.pathname, (executed.get(url.pathname) ?? 0) + 1);
      if (mode === "slow") setTimeout(() => answer(response, 200), slowMs);
      else if (mode === "ok") answer(response, 200);
      else fail(request, response);
    });
  });
  server.keepAliveTimeout = 120_000;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen({ port, host: "127.0.0.1", backlog: acceptQueueLength }, () => {
    console.log(JSON.stringify({ name, port: (server.address() as AddressInfo).port }));
  });
}

if (process.argv[1] === import.meta.filename) {
  const [name = "target", port = "0"] = process.argv.slice(2);
  serve(name, Number(port));
}

/**
 * A small HTTP server that tests and `npm run targets` proxy to, in a process of its own so that it can be
 * killed (SIGKILL) and stopped (SIGSTOP) for real.
 *
 * GET /headers answers what it was sent, in the shape of httpbin's `/headers`; any other path answers the same with
 * method, url and body length. Every answer names the target in `x-target`.
 * `?delay=MS` answers late, `?status=N` with that status, `?bytes=N` with that many bytes.
 *
 * Usage: node echo-target.ts NAME PORT [HOST]; prints one JSON line {"name","port"} when it listens.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

function headersAsHttpbin(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!;
    headers[name in headers ? `${name} (again)` : name] = request.rawHeaders[i + 1]!;
  }
  return headers;
}

function answer(name: string, request: IncomingMessage, response: ServerResponse, bodyBytes: number): void {
  const url = new URL(request.url ?? "/", "http://target");
  const status = Number(url.searchParams.get("status") ?? 200);
  const bytes = url.searchParams.get("bytes");
  const body =
    bytes === null
      ? `${JSON.stringify({ headers: headersAsHttpbin(request), target: name, method: request.method, url: request.url, bodyBytes }, null, 2)}\n`
      : "x".repeat(Number(bytes));
  response.writeHead(status, {
    "content-type": bytes === null ? "application/json" : "text/plain",
    "content-length": Buffer.byteLength(body),
    "x-target": name,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Starts one echo server; port 0 takes a free one. */
export function startEchoTarget(
  name: string,
  port: number,
  host = "127.0.0.1",
): Promise<{ port: number; readonly connectionCount: number; close(): void }> {
  let connectionCount = 0;
  const server = createServer((request, response) => {
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => {
      bodyBytes += chunk.length;
    });
    request.on("end", () => {
      const delayMs = Number(new URL(request.url ?? "/", "http://target").searchParams.get("delay") ?? 0);
      if (delayMs > 0) setTimeout(() => answer(name, request, response, bodyBytes), delayMs);
      else answer(name, request, response, bodyBytes);
    });
  });
  server.on("connection", () => connectionCount++);
  // Longer than the proxy keeps its idle connections: a target that closes first would be a fault of its own.
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        /** All that were ever opened. */
        get connectionCount() {
          return connectionCount;
        },
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

if (process.argv[1] === import.meta.filename) {
  const [name = "target", port = "0", host = "127.0.0.1"] = process.argv.slice(2);
  const target = await startEchoTarget(name, Number(port), host);
  console.log(JSON.stringify({ name, port: target.port }));
}

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Metric, metricsText } from "./metrics-text.ts";

/** Where the node stands, asked anew for every request. */
export interface StatusSource {
  /** Why the node wants no traffic, a condition each; empty when it does. */
  unmetConditions(): readonly { readonly condition: string; readonly reason: string }[];
  /** The body of /status. */
  status(): Promise<Readonly<Record<string, unknown>>>;
  /** The body of /endpoints: what the node sees of each. */
  endpoints(): Readonly<Record<string, unknown>>;
  metrics(): Promise<readonly Metric[]>;
  /** The body of /names. */
  names(): Readonly<Record<string, unknown>>;
}

export interface StatusServer {
  readonly port: number;
  close(): void;
}

/**
 * Opens the node's own page: /status, /status/ready, /endpoints, /names, /metrics. Read only, and open to whoever can connect.
 * Errors: rejects when it cannot listen.
 */
export function openStatusServer(host: string, port: number, source: StatusSource): Promise<StatusServer> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      answer(request, response, source).catch((cause: Error) => sendJson(response, 500, { message: cause.message }));
    },
  );
  // Scrapers and probes are few; whoever opens more has no business here.
  server.maxConnections = 1_024;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off("error", reject);
      resolve({
        port: (server.address() as AddressInfo).port,
        close() {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

const paths: ReadonlySet<string> = new Set(["/status", "/status/ready", "/endpoints", "/names", "/metrics"]);

async function answer(request: IncomingMessage, response: ServerResponse, source: StatusSource): Promise<void> {
  request.resume();
  const path = (request.url ?? "/").split("?", 1)[0]!;
  if (!paths.has(path)) {
    return sendJson(response, 404, { message: "Not found" });
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return sendJson(response, 405, { message: "Method not allowed" });
  }
  if (path === "/status/ready") {
    const unmet = source.unmetConditions();
    if (unmet.length === 0) return sendJson(response, 200, { message: "ready" });
    return sendJson(response, 503, { message: unmet.map(({ reason }) => reason).join("; "), unmet });
  }
  if (path === "/names") return sendJson(response, 200, source.names());
  if (path === "/status") return sendJson(response, 200, await source.status());
  if (path === "/endpoints") return sendJson(response, 200, source.endpoints());
  send(response, 200, "text/plain; version=0.0.4; charset=utf-8", metricsText(await source.metrics()));
}

function sendJson(response: ServerResponse, status: number, body: Readonly<Record<string, unknown>>): void {
  send(response, status, "application/json; charset=utf-8", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent || response.destroyed) return;
  const length = Buffer.byteLength(body);
  // What it says is true now only.
  response.writeHead(status, { "Content-Type": type, "Content-Length": length, "Cache-Control": "no-store" });
  response.end(response.req.method === "HEAD" ? "" : body);
}

/**
 * What one would build from parts: node:http in front, undici's Pool.dispatch behind it, weighted round-robin, the
 * same forwarded headers as penstock sets, one further attempt for requests without a body. The leanest way to join
 * the two that we know of: no streams where none are needed, one handler object per request.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type Dispatcher, Pool } from "undici";

interface ProxyConfig {
  /** Paths of certificate and key; null = plain. */
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null;
  readonly port: number;
  /** The pools in the order in which they take turns. */
  readonly wheel: readonly Pool[];
  /** Prefixes by their segments: "/a/b" has two. */
  readonly prefixes: ReadonlySet<string>;
}

const hopByHop = new Set(["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]);

function readConfig(path: string): ProxyConfig {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  const of = (word: string) => lines.filter(([first]) => first === word);
  const targets = of("target").map(([, port, weight]) => ({
    pool: new Pool(`http://127.0.0.1:${port}`, { connections: 256, pipelining: 1 }),
    weight: Number(weight),
  }));
  const turns = Math.max(...targets.map(({ weight }) => weight));
  const wheel: Pool[] = [];
  for (let turn = 0; turn < turns; turn++) {
    for (const { pool, weight } of targets) if (turn < weight) wheel.push(pool);
  }
  const files = of("tls")[0];
  const tls = files === undefined ? null : { cert: readFileSync(files[1]!), key: readFileSync(files[2]!) };
  return { tls, port: Number(of("listen")[0]![1]), wheel, prefixes: new Set(of("route").map(([, prefix]) => prefix!)) };
}

const { tls, port, wheel, prefixes } = readConfig(process.argv[2]!);
let cursor = 0;

/** The longest prefix that the path lies under, or null. */
function findPrefix(path: string): string | null {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
    const prefix = path.slice(0, end);
    if (prefixes.has(prefix)) return prefix;
  }
  return null;
}

function forwardedHeaders(request: IncomingMessage, prefix: string): string[] {
  const { rawHeaders, headers, socket, url } = request;
  const forwarded: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (hopByHop.has(name) || name === "host" || name === "x-forwarded-for") continue;
    forwarded.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  const address = socket.remoteAddress ?? "";
  const before = headers["x-forwarded-for"];
  forwarded.push("X-Forwarded-For", before === undefined ? address : `${before}, ${address}`);
  forwarded.push("X-Forwarded-Proto", tls === null ? "http" : "https", "X-Forwarded-Host", headers.host ?? "");
  forwarded.push("X-Forwarded-Port", String(port), "X-Forwarded-Path", url!, "X-Forwarded-Prefix", prefix);
  forwarded.push("X-Real-IP", address, "X-Request-Id", randomUUID(), "Via", "1.1 node-undici");
  return forwarded;
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: Dispatcher.DispatchOptions;
  readonly #response: ServerResponse;
  #controller: Dispatcher.DispatchController | null = null;
  #attemptsLeft: number;
  #isEnded = false;

  constructor(options: Dispatcher.DispatchOptions, response: ServerResponse) {
    this.#options = options;
    this.#response = response;
    this.#attemptsLeft = options.body === null ? 2 : 1;
    response.on("close", () => {
      if (!this.#isEnded) this.#controller?.abort(new Error("the client is gone"));
    });
  }

  dispatch(): void {
    this.#attemptsLeft--;
    wheel[cursor++ % wheel.length]!.dispatch(this.#options, this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    for (const name of hopByHop) if (headers[name] !== undefined) delete headers[name];
    headers["via"] = "1.1 node-undici";
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return;
    controller.pause();
    this.#response.once("drain", () => controller.resume());
  }

  onResponseEnd(): void {
    this.#isEnded = true;
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent || this.#response.destroyed) {
      this.#response.destroy();
    } else if (this.#attemptsLeft > 0) {
      this.dispatch();
    } else {
      this.#isEnded = true;
      this.#response.writeHead(502).end();
    }
  }
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url!;
  const prefix = findPrefix(url);
  if (prefix === null) {
    response.writeHead(404).end();
    return;
  }
  const hasBody = request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined;
  const options: Dispatcher.DispatchOptions = {
    method: request.method!,
    path: url.slice(prefix.length),
    headers: forwardedHeaders(request, prefix),
    body: hasBody ? request : null,
  };
  new Exchange(options, response).dispatch();
}

const server = tls === null ? createServer(serve) : createTlsServer(tls, serve);
server.keepAliveTimeout = 300_000;
server.maxRequestsPerSocket = 0;
server.listen(port, "127.0.0.1");

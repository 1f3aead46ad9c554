import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

export interface Http1Limits {
  /** Size of a request's head. */
  readonly headerMaxBytes: number;
  /** How long the head of a request may take. */
  readonly headTimeoutMs: number;
  /** How long a whole request may take to come in. */
  readonly requestTimeoutMs: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveTimeoutMs: number;
}

/** HTTP/1.1 for sockets that are handed to it. */
export interface Http1Connections {
  /** For `emit("connection", socket)`; it does not listen. */
  readonly server: Server;
  /** Ends the connections that wait for a request; the others end with the answer that is under way. */
  close(): void;
}

/** A request and its answer, until the answer is sent or its connection gone. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Who has said that nothing more comes is asked whether it is still there when it is not answered by then ... */
const farewellMs = 1_000;
/** ... and again after twice as long each time, up to this. */
const farewellMaxMs = 32_000;

/** Requests of a connection that run or wait; with one more, the client is taken for a hostile one. */
const pipelinedMaxCount = 100;

/**
 * HTTP/1.1 without TLS. What is no HTTP gets 400 in JSON, like every other error of the admin port.
 * A pipelined request is handed over when the one before it is answered: a change may build on the one before.
 */
export function http1Connections(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  limits: Http1Limits,
): Http1Connections {
  /** What is not answered yet of each connection, in order. */
  const connections = new Map<Socket, Exchange[]>();
  let isClosing = false;
  const server = createServer({
    maxHeaderSize: limits.headerMaxBytes,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(5000, limits.headTimeoutMs),
  });
  // A client that has sent all that it will gets its answers all the same. node:http, which would end the connection and
  // with it what waits for its answer, does not promise this property: a test fails when it is gone.
  Reflect.set(server, "httpAllowHalfOpen", true);
  server.on("connection", (socket) => {
    socket.allowHalfOpen = true;
  });
  // Timeouts are only watched once a server listens, and this one never does.
  server.emit("listening");
  server.on("request", (request, response) => {
    const { socket } = request;
    // Of what was read together with the one too many, the rest comes here as well.
    if (socket.destroyed) return;
    const exchanges = connections.get(socket) ?? [];
    if (exchanges.length === pipelinedMaxCount) {
      // node:http reads on as long as answers are small, and cannot be told to wait.
      socket.destroy();
      return;
    }
    const before = exchanges.at(-1);
    if (!connections.has(socket)) {
      connections.set(socket, exchanges);
      // The answers that wait for their turn on it are not told that it is gone.
      socket.once("close", () => connections.delete(socket));
      socket.once("end", () => halfClosed(socket, exchanges));
    }
    exchanges.push({ request, response });
    response.shouldKeepAlive &&= !isClosing;
    response.once("close", () => {
      exchanges.shift();
      // Its head was sent before the closing began: nothing else would end the connection before it times out.
      if (isClosing && exchanges.length === 0) socket.end();
    });
    // RFC 9112 section 9.3.2: only safe methods may be processed side by side.
    if (before === undefined) handle(request, response);
    else
      before.response.once("close", () => {
        if (!socket.destroyed) handle(request, response);
      });
  });
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    const exchanges = connections.get(socket) ?? [];
    const lastWhole = exchanges.findLast(({ request }) => request.complete);
    const refuse = () => {
      // Words in the middle of an answer would become a part of it.
      const isAnswering = exchanges[0]?.response.headersSent === true;
      if (!socket.writable || error.code === "ECONNRESET" || isAnswering) socket.destroy();
      else socket.end(clientErrorAnswer(error.code), () => socket.destroy());
    };
    if (lastWhole === undefined || error.code === "ECONNRESET") return refuse();
    // The garbage is behind a request that came whole: its client hears first what became of that.
    socket.pause();
    lastWhole.response.once("close", refuse);
  });
  return {
    server,
    close() {
      isClosing = true;
      server.close();
      for (const exchanges of connections.values()) {
        const last = exchanges.at(-1)?.response;
        if (last?.headersSent === false) last.shouldKeepAlive = false;
      }
    },
  };
}

/**
 * The client sends nothing more. It may have sent all that it wants and wait for the answers, or be gone: TCP says the
 * same of both. Who is gone answers whatever is written with a reset, which the next write meets; what may be written
 * before the answer is known are interim answers (RFC 9110 section 15.2). Clients of HTTP/1.0 know none: one that is gone
 * is noticed by its answer.
 */
function halfClosed(socket: Socket, exchanges: readonly Exchange[]): void {
  let timer: NodeJS.Timeout;
  let writtenCount = socket.bytesWritten;
  const askAfter = (delayMs: number) => {
    timer = setTimeout(() => {
      const [current] = exchanges;
      // node:http has ended it where no answer is to come, and does so after the last one.
      if (current === undefined) return;
      const { request, response } = current;
      // A watch, or its like: it ends with its client, and may say nothing by which to find that out.
      const isStill = socket.bytesWritten === writtenCount;
      writtenCount = socket.bytesWritten;
      if (response.headersSent && !response.writableEnded && isStill) socket.destroy();
      else if (!response.headersSent && request.httpVersion !== "1.0") response.writeProcessing();
      askAfter(Math.min(2 * delayMs, farewellMaxMs));
    }, delayMs);
  };
  askAfter(farewellMs);
  socket.once("close", () => clearTimeout(timer));
}

const clientErrors: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "request header is too large"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["413 Payload Too Large", "chunk extensions are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request took too long to come in"],
};

function clientErrorAnswer(code: string | undefined): string {
  const [status, message] = clientErrors[code ?? ""] ?? ["400 Bad Request", "malformed HTTP request"];
  const body = JSON.stringify({ message });
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n`;
  return `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

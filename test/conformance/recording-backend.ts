import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { readRequests, type StrictMessage } from "./strict-reader.ts";

/** One request as it was recorded, with the connection that it came on. */
export interface Recorded extends StrictMessage {
  readonly connection: number;
}

/** What tells two requests apart: method and target, and what the body says. */
export function digestOf(message: Pick<StrictMessage, "startLine" | "body">): string {
  const hash = createHash("sha1").update(message.body, "latin1").digest("hex");
  return `${message.startLine.replace(/ HTTP\/1\.1$/, "")} ${hash}`;
}

/** A target that keeps every byte, judges it strictly, and answers each whole request with its digest. */
export class RecordingBackend {
  received: Recorded[] = [];
  /** What must never reach a target. */
  problems: string[] = [];
  /** Everything that came, whole or not. */
  bytes = "";
  port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connectionCount = 0;

  private constructor() {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  static async open(): Promise<RecordingBackend> {
    const backend = new RecordingBackend();
    await new Promise<void>((resolve) => backend.#server.listen(0, "127.0.0.1", resolve));
    backend.port = (backend.#server.address() as AddressInfo).port;
    return backend;
  }

  clear(): void {
    this.received = [];
    this.problems = [];
    this.bytes = "";
  }

  #accept(socket: Socket): void {
    const connection = ++this.#connectionCount;
    let text = "";
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (bytes) => {
      const added = bytes.toString("latin1");
      this.bytes += added;
      text += added;
      const { messages, rest, problem } = readRequests(text);
      text = rest;
      for (const message of messages) {
        this.received.push({ ...message, connection });
        socket.write(recordedAnswer(message), "latin1");
      }
      if (problem === null) return;
      this.problems.push(`${problem} in ${JSON.stringify(rest.slice(0, 200))}`);
      socket.destroy();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function recordedAnswer(message: StrictMessage): string {
  const digest = digestOf(message);
  const head = `HTTP/1.1 200 OK\r\nX-Recorded: ${digest.replaceAll(/[^\x20-\x7e]/g, "?")}\r\n`;
  const body = message.startLine.startsWith("HEAD ") ? "" : digest;
  return `${head}Content-Length: ${digest.length}\r\n\r\n${body}`;
}

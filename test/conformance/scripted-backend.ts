import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** What the target does with the next request for /case. */
export interface Script {
  readonly bytes: string;
  readonly afterwards?: "close" | "reset";
}

/**
 * A target that sends, to whoever asks for /case, exactly the bytes it was told to, and to everybody else an
 * answer that names what was asked for.
 */
export class ScriptedBackend {
  port = 0;
  script: Script = { bytes: "" };
  /** Connections that carried a request for /case since `play`. */
  readonly played = new Set<number>();
  /** Connections on which something came that was no request of ours. */
  readonly odd: string[] = [];
  /** The connection that carried each request for anything else, by what was asked for. */
  readonly asked = new Map<string, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connectionCount = 0;

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  static async open(): Promise<ScriptedBackend> {
    const backend = new ScriptedBackend();
    await new Promise<void>((resolve) => backend.#server.listen(0, "127.0.0.1", resolve));
    backend.port = (backend.#server.address() as AddressInfo).port;
    return backend;
  }

  play(script: Script): void {
    this.script = script;
    this.played.clear();
    this.asked.clear();
  }

  get openCount(): number {
    return this.#sockets.size;
  }

  #accept(socket: Socket): void {
    const connection = ++this.#connectionCount;
    let text = "";
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      // Only requests without a body are asked here.
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const asked = /^[A-Z]+ (\S+) HTTP\/1\.1\r\n/.exec(text)?.[1] ?? "";
        text = text.slice(end + 4);
        this.#answer(socket, asked, connection);
      }
    });
  }

  #answer(socket: Socket, asked: string, connection: number): void {
    if (asked.startsWith("/case")) {
      this.played.add(connection);
      const { bytes, afterwards } = this.scriptFor(asked);
      if (bytes === "") {
        if (afterwards === "close") socket.destroy();
      } else
        socket.write(bytes, "latin1", () => {
          if (afterwards === "close") socket.end();
          else if (afterwards === "reset") socket.resetAndDestroy();
        });
      return;
    }
    if (!asked.startsWith("/next")) this.odd.push(asked);
    this.asked.set(asked, connection);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${asked.length}\r\n\r\n${asked}`);
  }

  /** Many scripts at once: replaced by whoever asks for /case/NUMBER. */
  scriptFor: (asked: string) => Script = () => this.script;

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

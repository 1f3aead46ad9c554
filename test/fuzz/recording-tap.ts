import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { readRequests, type StrictMessage } from "../conformance/strict-reader.ts";

/** Stands between two hops, passes every byte on, and reads what the first sends to the second. */
export class RecordingTap {
  received: StrictMessage[] = [];
  problems: string[] = [];
  port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #nextPort: number;

  private constructor(nextPort: number) {
    this.#nextPort = nextPort;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  static async open(nextPort: number): Promise<RecordingTap> {
    const tap = new RecordingTap(nextPort);
    await new Promise<void>((resolve) => tap.#server.listen(0, "127.0.0.1", resolve));
    tap.port = (tap.#server.address() as AddressInfo).port;
    return tap;
  }

  clear(): void {
    this.received = [];
    this.problems = [];
  }

  #accept(before: Socket): void {
    const behind = connect({ port: this.#nextPort, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    let text = "";
    before.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const { messages, rest, problem } = readRequests(text);
      text = rest;
      this.received.push(...messages);
      if (problem !== null) this.problems.push(`${problem} in ${JSON.stringify(rest.slice(0, 200))}`);
    });
    for (const [from, to] of [
      [before, behind],
      [behind, before],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

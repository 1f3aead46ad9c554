/**
 * The two targets, a process of their own: raw keep-alive servers that send one fixed answer and count what reaches
 * them. They do next to nothing, so that the core they share with the load has time for it.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { RequestReader } from "./request-reader.ts";

/** What a target saw since the last question. */
export interface TargetCounts {
  readonly connections: number;
  readonly requests: number;
  /** Of all requests together. */
  readonly bodyBytes: number;
  /** The last request's head, as it came. */
  readonly lastHead: string;
}

export type ToTargets = { readonly type: "answer"; readonly bytes: number } | { readonly type: "counts" };
export type FromTargets =
  | { readonly type: "listening"; readonly ports: readonly [number, number] }
  | { readonly type: "counts"; readonly counts: readonly [TargetCounts, TargetCounts] };

let answer = Buffer.alloc(0);

class Target {
  readonly server: Server;
  #connections = 0;
  #requests = 0;
  #bodyBytes = 0;
  #lastHead = "";

  constructor() {
    this.server = createServer((socket) => {
      this.#connections++;
      socket.setNoDelay(true);
      const reader = new RequestReader();
      const answerRequest = (head: Buffer, bodyBytes: number) => {
        this.#requests++;
        this.#bodyBytes += bodyBytes;
        // Decoding each head would cost the core more than answering does; one in a thousand shows the fields.
        if (this.#requests % 1000 === 1) this.#lastHead = head.toString("latin1");
        socket.write(answer);
      };
      socket.on("data", (chunk: Buffer) => reader.read(chunk, answerRequest));
      socket.on("error", () => socket.destroy());
    });
  }

  takeCounts(): TargetCounts {
    const counts = {
      connections: this.#connections,
      requests: this.#requests,
      bodyBytes: this.#bodyBytes,
      lastHead: this.#lastHead,
    };
    this.#connections = 0;
    this.#requests = 0;
    this.#bodyBytes = 0;
    return counts;
  }
}

async function listen(target: Target): Promise<number> {
  target.server.listen(0, "127.0.0.1");
  await once(target.server, "listening");
  return (target.server.address() as AddressInfo).port;
}

const [first, second] = [new Target(), new Target()];
const tell = (message: FromTargets) => process.send?.(message);

process.on("message", (message: ToTargets) => {
  if (message.type === "answer") {
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${message.bytes}\r\n\r\n`;
    answer = Buffer.from(head + "x".repeat(message.bytes), "latin1");
  } else {
    tell({ type: "counts", counts: [first.takeCounts(), second.takeCounts()] });
  }
});
process.on("disconnect", () => process.exit());

tell({ type: "listening", ports: [await listen(first), await listen(second)] });

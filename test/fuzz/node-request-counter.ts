import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { rawExchange } from "../conformance/raw-exchange.ts";

/** Node's own parser in its strict mode, which says how many requests it sees in the bytes of one connection. */
export class NodeRequestCounter {
  #port = 0;
  #count = 0;
  readonly #server: Server;

  private constructor() {
    // Its limits are wide, so that only what it thinks of the bytes counts.
    const limits = { maxHeaderSize: 65_536, requireHostHeader: true, insecureHTTPParser: false };
    this.#server = createServer({ ...limits, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
      this.#count++;
      request.on("error", () => {});
      request.resume();
      request.on("end", () => response.writeHead(200, { "Content-Length": 0 }).end());
    });
  }

  static async open(): Promise<NodeRequestCounter> {
    const counter = new NodeRequestCounter();
    await new Promise<void>((resolve) => counter.#server.listen(0, "127.0.0.1", resolve));
    counter.#port = (counter.#server.address() as AddressInfo).port;
    return counter;
  }

  /** One connection at a time. */
  async requestsIn(bytes: string): Promise<number> {
    this.#count = 0;
    await rawExchange(this.#port, bytes, { ends: true });
    return this.#count;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/**
 * Row 34: a target that closes its connections exactly when they are used again, by FIN and by RST in turn, as every
 * other server does now and then. 100,000 GETs, of which none may fail; and POSTs, of which none may be sent twice.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const getCount = 100_000;
const postCount = 5_000;
const clientCount = 32;

/** How often the target executed each request, by path. */
const executed = new Map<string, number>();

/** Answers up to three requests on each connection, and meets the next by closing. */
async function openTarget() {
  let metWhileClosing = 0;
  let connectionCount = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const number = ++connectionCount;
    let left = 1 + (number % 3);
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (let end = endOfRequest(text); end > 0; end = endOfRequest(text)) {
        const path = text.split(" ", 2)[1]!;
        text = text.slice(end);
        if (left-- <= 0) {
          metWhileClosing++;
          if (number % 2 === 0) socket.resetAndDestroy();
          else socket.end();
          return;
        }
        executed.set(path, (executed.get(path) ?? 0) + 1);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get metWhileClosing() {
      return metWhileClosing;
    },
    close: () => server.close(),
  };
}

/** Position after the first request of the text, or 0. */
function endOfRequest(text: string): number {
  const headEnd = text.indexOf("\r\n\r\n") + 4;
  if (headEnd < 4) return 0;
  const end = headEnd + Number(/^content-length: (\d+)/im.exec(text.slice(0, headEnd))?.[1] ?? 0);
  return text.length >= end ? end : 0;
}

/** A client that keeps its connection as long as it lasts. */
class Client {
  readonly #port: number;
  #socket: Socket | null = null;
  #text = "";
  #tell: (status: number) => void = () => {};

  constructor(port: number) {
    this.#port = port;
  }

  /** @returns the status; 0 when the connection ended before there was an answer */
  ask(text: string): Promise<number> {
    return new Promise((resolve) => {
      this.#tell = resolve;
      this.#socket ??= this.#connect();
      this.#socket.write(text);
    });
  }

  #connect(): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.#text = "";
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = null;
      this.#tell(0);
    });
    socket.on("data", (bytes) => {
      this.#text += bytes.toString("latin1");
      const end = endOfRequest(this.#text);
      if (end === 0) return;
      const status = Number(this.#text.slice(9, 12));
      this.#text = this.#text.slice(end);
      this.#tell(status);
    });
    return socket;
  }

  close(): void {
    this.#socket?.destroy();
  }
}

/** Has all clients ask, `count` times together. @returns how often each status came */
async function askAll(clients: readonly Client[], count: number, textOf: (i: number) => string) {
  const statuses = new Map<number, number>();
  let asked = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (asked < count) {
        const status = await client.ask(textOf(asked++));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    }),
  );
  return statuses;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const target = await openTarget();
  const planes = await startProofPlanes([target.port]);
  const clients = Array.from({ length: clientCount }, () => new Client(planes.proxyPort));
  const figure = (name: string, value: number, atMost = 0): Figure => ({ name, value, unit: "requests", atMost });
  try {
    const gets = await askAll(clients, getCount, (i) => `GET /p/get/${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const metByGets = target.metWhileClosing;
    progress(`GET: ${JSON.stringify([...gets])}, ${metByGets} met a connection that was closing`);
    executed.clear();
    const posts = await askAll(
      clients,
      postCount,
      (i) => `POST /p/post/${i} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody`,
    );
    const metByPosts = target.metWhileClosing - metByGets;
    progress(`POST: ${JSON.stringify([...posts])}, ${metByPosts} met a connection that was closing`);
    const counted = await planes.counters();
    return [
      figure("GETs that failed, of 100,000", getCount - (gets.get(200) ?? 0)),
      figure("GETs short of 20,000 that met a closing connection", Math.max(20_000 - metByGets, 0)),
      figure("POSTs that were executed twice, of 5,000", [...executed.values()].filter((times) => times > 1).length),
      figure(
        "POSTs that got anything but 200, or 502 where they met a closing connection",
        Math.abs((posts.get(502) ?? 0) - metByPosts) + postCount - (posts.get(200) ?? 0) - (posts.get(502) ?? 0),
      ),
      figure("ejections of the target", counted["ejections"]!),
    ];
  } finally {
    for (const client of clients) client.close();
    await planes.stop();
    target.close();
  }
}

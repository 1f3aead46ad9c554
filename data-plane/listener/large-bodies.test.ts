import { createHash, type Hash } from "node:crypto";
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import {
  answerText,
  get,
  openBackend,
  openRawBackend,
  Rig,
  type RigOptions,
  type Transport,
  until,
} from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) {
    await each.close();
    // Whatever way bodies ended, no read buffer may be left with a connection that is gone.
    if (each instanceof Rig) {
      const { buffers } = each.server.engine;
      await until(() => buffers.ownCount === 0);
    }
  }
});

async function openRig(options: RigOptions): Promise<Rig> {
  const made = await Rig.open(options);
  opened.push(made);
  return made;
}

async function rawBackend(onConnection: Parameters<typeof openRawBackend>[0]) {
  const made = await openRawBackend(onConnection);
  opened.push(made);
  return made;
}

const pieceBytes = 65_536;
/** What sockets on both ends may hold (Linux grows them to some megabytes), with a wide margin for the proxy. */
const inFlightMaxBytes = 24 * 1_048_576;
const bodyBytes = 64 * 1_048_576;

/** Content in which every place is different, so that bytes of another place or connection show. */
class Content {
  readonly hash: Hash = createHash("sha1");
  #at: number;

  constructor(seed: number) {
    this.#at = seed * 1_000_003;
  }

  next(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((this.#at++ * 2_654_435_761) >>> 0, i);
    this.hash.update(bytes);
    return bytes;
  }
}

/** Writes as fast as the other side takes it. @returns what went out so far */
function pour(socket: Socket, total: number, content: Content, finish: () => void): () => number {
  let written = 0;
  const go = () => {
    while (written < total) {
      const length = Math.min(pieceBytes, total - written);
      written += length;
      if (!socket.write(content.next(length))) {
        socket.once("drain", go);
        return;
      }
    }
    finish();
  };
  go();
  return () => written - socket.writableLength;
}

/** Reads a body of known length after a head. */
class BodySink {
  readonly hash: Hash = createHash("sha1");
  received = 0;
  #head = "";
  #isInBody = false;

  constructor(socket: Socket) {
    socket.on("data", (bytes) => {
      let body = bytes;
      if (!this.#isInBody) {
        this.#head += bytes.toString("latin1");
        const end = this.#head.indexOf("\r\n\r\n");
        if (end < 0) return;
        this.#isInBody = true;
        body = bytes.subarray(bytes.length - (this.#head.length - end - 4));
      }
      this.received += body.length;
      this.hash.update(body);
    });
  }
}

/** Waits until a figure has stood still for a while: what can flow has flowed. */
async function settled(figure: () => number): Promise<number> {
  for (let last = -1, same = 0; ; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    same = figure() === last ? same + 1 : 0;
    last = figure();
    if (same === 10) return last;
  }
}

describe.each<Transport>(["plain", "TLS", "TLS by events"])("large bodies, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it("flow up at the pace of the server, whole and without piling up", async () => {
    let sink: BodySink | null = null;
    const target = await rawBackend((socket) => {
      socket.pause();
      sink = new BodySink(socket);
      socket.pause();
    });
    const proxy = await rig({ ports: [target.port], service: { writeTimeoutMs: 60_000 } });
    const client = proxy.client().send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
    const content = new Content(1);
    const sent = pour(client.socket, bodyBytes, content, () => {});
    const before = process.memoryUsage().arrayBuffers;
    expect(await settled(sent)).toBeLessThan(inFlightMaxBytes);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(inFlightMaxBytes);
    for (const socket of target.sockets) socket.resume();
    await until(() => sink?.received === bodyBytes);
    expect(sink!.hash.digest("hex")).toBe(content.hash.digest("hex"));
    for (const socket of target.sockets) socket.write(answerText("taken"));
    expect((await client.answer()).body).toBe("taken");
  });

  it("flow down at the pace of the client, whole and without piling up", async () => {
    const content = new Content(2);
    let sent = () => 0;
    const target = await rawBackend((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
        sent = pour(socket, bodyBytes, content, () => {});
      });
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    client.socket.removeAllListeners("data");
    const sink = new BodySink(client.socket);
    client.send(get("/"));
    client.socket.pause();
    await until(() => target.connectionCount === 1);
    expect(await settled(() => sent())).toBeLessThan(inFlightMaxBytes);
    client.socket.resume();
    await until(() => sink.received === bodyBytes);
    expect(sink.hash.digest("hex")).toBe(content.hash.digest("hex"));
    // And both connections go on.
    client.socket.removeAllListeners("data");
    client.socket.destroy();
    await until(() => proxy.counter("connections_active") === 0);
    expect(proxy.counter("responses_cut")).toBe(0);
  });

  // The trap of reading into memory that is used again: a write that the kernel did not take at once still
  // refers to it. Many slow readers beside each other overwrite each other's bytes if anything is lent wrongly.
  it("never mix, with many slow readers at once", async () => {
    const each = 3 * 1_048_576;
    const contents = new Map<string, Content>();
    const target = await openBackend((request, socket) => {
      const path = /^\S+ (\S+)/.exec(request.head)![1]!;
      const content = new Content(Number(path.slice(1)) + 3);
      contents.set(path, content);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${each}\r\n\r\n`);
      pour(socket, each, content, () => {});
    });
    opened.push(target);
    const proxy = await rig({ ports: [target.port] });
    const readers = Array.from({ length: 24 }, (_, index) => {
      const client = proxy.client();
      client.socket.removeAllListeners("data");
      const sink = new BodySink(client.socket);
      client.send(get(`/${index}`));
      // Reads in fits and starts, each at a pace of its own.
      client.socket.on("data", () => {
        client.socket.pause();
        setTimeout(() => client.socket.resume(), index % 7);
      });
      return { index, sink };
    });
    await until(() => readers.every(({ sink }) => sink.received === each));
    for (const { index, sink } of readers)
      expect(sink.hash.digest("hex"), `reader ${index}`).toBe(contents.get(`/${index}`)!.hash.digest("hex"));
    expect(proxy.defects).toEqual([]);
  });

  it("pass in chunks through any cuts, both ways", async () => {
    const size = 300_000;
    const body = new Content(99).next(size).toString("latin1");
    const target = await openBackend((request, socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "latin1");
      socket.write(request.body, "latin1");
    });
    opened.push(target);
    const proxy = await rig({ ports: [target.port] });
    for (const chunkBytes of [1_000, 8_191, 65_536, 300_000]) {
      let chunked = "";
      for (let at = 0; at < size; at += chunkBytes) {
        const piece = body.slice(at, at + chunkBytes);
        chunked += `${piece.length.toString(16)}\r\n${piece}\r\n`;
      }
      chunked += "0\r\n\r\n";
      const answer = await proxy.ask(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`);
      expect(answer.body === chunked, `chunks of ${chunkBytes}`).toBe(true);
    }
  });

  it("may be answered before they are complete: the answer passes, then the connections end", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
    });
    const proxy = await rig({ ports: [target.port], server: { limits: { lingerTimeoutMs: 100 } } });
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst");
    expect((await client.answer()).body).toBe("no");
    expect(await client.closed).toBe("end");
    await until(() => target.sockets.size === 0);
  });

  it("reach a slow client whole when the connection ends with them", async () => {
    const each = 8 * 1_048_576;
    const content = new Content(7);
    const target = await rawBackend((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${each}\r\n\r\n`);
        pour(socket, each, content, () => {});
      });
    });
    const proxy = await rig({ ports: [target.port], server: { limits: { lingerTimeoutMs: 50 } } });
    const client = proxy.client();
    client.socket.removeAllListeners("data");
    const sink = new BodySink(client.socket);
    client.send(get("/", "Connection: close\r\n"));
    client.socket.on("data", () => {
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 5);
    });
    expect(await client.closed).toBe("end");
    expect(sink.received).toBe(each);
    expect(sink.hash.digest("hex")).toBe(content.hash.digest("hex"));
  });

  it("time out when the server takes nothing more", async () => {
    const target = await rawBackend((socket) => socket.pause());
    const proxy = await rig({ ports: [target.port], service: { writeTimeoutMs: 150 } });
    const client = proxy.client().send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
    pour(client.socket, bodyBytes, new Content(1), () => {});
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 504 /);
  });

  it("are cut for a client that takes nothing more", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
        pour(socket, bodyBytes, new Content(1), () => {});
      });
    });
    const proxy = await rig({ ports: [target.port], server: { limits: { rateGraceMs: 250 } } });
    const client = proxy.client().send(get("/"));
    client.socket.pause();
    await until(() => target.connectionCount === 1);
    await until(() => target.sockets.size === 0);
    client.socket.resume();
    expect(await client.closed).toBe("reset");
  });
});

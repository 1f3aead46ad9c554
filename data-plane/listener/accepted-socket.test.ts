import { connect as connectHttp2, createServer as createHttp2Server, type Http2Server } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificate } from "../../test/support/certificates.ts";
import type { ByteReader } from "../socket/byte-socket.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { readClientHello } from "../tls/client-hello.ts";
import { type AcceptMode, acceptSocket, handOverSocket, probeAcceptMode } from "./accepted-socket.ts";
import { readFirst } from "./accepted-tls-socket.ts";
import { Spoken, sniffFirstBytes } from "./sniff-first-bytes.ts";

describe("probeAcceptMode", () => {
  it("finds that this Node lets accepted sockets be read into our own memory", async () => {
    expect(await probeAcceptMode()).toBe("onread");
  });
});

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const ignore = () => {};
const silent: ByteReader = {
  onConnected: ignore,
  onBytes: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onFlushed: ignore,
  onClosed: ignore,
  onDefect: ignore,
};

/** Answers each request with how long its body was and what it added up to. */
function openHttp2(): Http2Server {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    let length = 0;
    let sum = 0;
    stream.on("data", (bytes: Buffer) => {
      length += bytes.length;
      for (const byte of bytes) sum = (sum + byte) % 65_521;
    });
    stream.on("end", () => stream.end(`${length} ${sum}`));
  });
  return server;
}

/** A port whose connections are sniffed, and handed to node:http2 when they speak it. */
async function openSniffing(mode: AcceptMode, http2: Http2Server): Promise<{ port: number; buffers: ReadBuffers }> {
  const buffers = new ReadBuffers();
  const accepted = new Set<Socket>();
  const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  server.on("connection", (socket) => {
    let seen = Buffer.alloc(0);
    let isOver = false;
    const plain = acceptSocket(socket, mode, buffers, {
      ...silent,
      onBytes(from, length) {
        if (isOver) throw new Error("told of bytes after the hand-over");
        seen = Buffer.concat([seen, from.bytes.subarray(0, length)]);
        if (sniffFirstBytes(seen, seen.length) !== Spoken.Http2) return;
        isOver = true;
        let isSynchronous = true;
        handOverSocket(plain, mode, seen, (fresh) => {
          if (isSynchronous) throw new Error("handed over within the read");
          accepted.add(fresh);
          http2.emit("connection", fresh);
        });
        isSynchronous = false;
        // What comes next is read into the same memory.
        seen.fill(0);
        from.bytes.fill(0);
      },
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, buffers };
}

/** A port for TLS, as ours: the hello is read, put back, and handed to a server that listens nowhere. */
async function openTls(mode: AcceptMode, http2: Http2Server): Promise<{ port: number; certPem: string }> {
  const { certPem, keyPem } = await makeCertificate({ names: ["a.test"] });
  const tls = createTlsServer({ cert: certPem, key: keyPem, ALPNProtocols: ["h2", "http/1.1"] });
  // The server's socket: node:http2 waits for ever on one that is made by hand.
  tls.on("secureConnection", (socket) => http2.emit("connection", socket));
  const accepted = new Set<Socket>();
  const shared = Buffer.alloc(65_536);
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted.add(socket);
    socket.on("error", ignore);
    let seen = Buffer.alloc(0);
    readFirst(socket, mode, shared, (bytes) => {
      seen = Buffer.concat([seen, bytes]);
      if (typeof readClientHello(seen, seen.length, 16_384) === "string") return true;
      setImmediate(() => {
        socket.unshift(seen);
        tls.emit("connection", socket);
      });
      return false;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, certPem };
}

const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 251));
const want = `${body.length} ${body.reduce((sum, byte) => (sum + byte) % 65_521, 0)}`;

async function upload(session: ReturnType<typeof connectHttp2>): Promise<string> {
  const stream = session.request({ ":method": "POST", ":path": "/" });
  let text = "";
  stream.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  stream.end(body);
  await new Promise((resolve, reject) => stream.on("close", resolve).on("error", reject));
  return text;
}

describe("handOverSocket", () => {
  it.each(["onread", "events"] as const)("lets node:http2 take uploads of 100 KB, 50 of 50: %s", async (mode) => {
    const { port, buffers } = await openSniffing(mode, openHttp2());
    for (let connection = 0; connection < 5; connection++) {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on("error", ignore);
      const answers = await Promise.all(Array.from({ length: 10 }, () => upload(session)));
      expect(answers).toEqual(new Array(10).fill(want));
      session.destroy();
    }
    expect(buffers.ownCount).toBe(0);
  });

  it.each(["onread", "events"] as const)("brings a preface that came in pieces of 5 bytes: %s", async (mode) => {
    const { port } = await openSniffing(mode, openHttp2());
    const client = connect({ port, host: "127.0.0.1", noDelay: true });
    cleanups.push(() => client.destroy());
    // The preface and an empty SETTINGS frame.
    const text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const answer = new Promise<Buffer>((resolve) => client.once("data", resolve));
    for (let at = 0; at < text.length; at += 5) {
      client.write(text.slice(at, at + 5), "latin1");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await answer)[3]).toBe(4);
  });

  it.each(["onread", "events"] as const)("forgets a client that is gone by then: %s", async (mode) => {
    const { port } = await openSniffing(mode, openHttp2());
    const gone = connect({ port, host: "127.0.0.1" }, () => {
      gone.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", () => gone.resetAndDestroy());
    });
    await new Promise((resolve) => gone.on("close", resolve));
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on("error", ignore);
    expect(await upload(session)).toBe(want);
    session.destroy();
  });
});

describe("a socket that one of our servers of TLS has made secure", () => {
  it.each(["onread", "events"] as const)(
    "is taken by node:http2 as it is, with uploads of 100 KB, 50 of 50: %s",
    async (mode) => {
      const { port, certPem } = await openTls(mode, openHttp2());
      for (let connection = 0; connection < 5; connection++) {
        const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: certPem, servername: "a.test" });
        session.on("error", ignore);
        const answers = await Promise.all(Array.from({ length: 10 }, () => upload(session)));
        expect(answers).toEqual(new Array(10).fill(want));
        expect(session.alpnProtocol).toBe("h2");
        session.destroy();
      }
    },
  );
});

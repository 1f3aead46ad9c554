import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { http1Connections } from "./http1-connections.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A connection to a server of these connections, and the requests that were handed over so far. */
async function open(onRequest: (request: IncomingMessage, response: ServerResponse) => unknown = () => {}) {
  const seen: { readonly path: string; readonly response: ServerResponse }[] = [];
  const connections = http1Connections(
    (request, response) => {
      seen.push({ path: request.url!, response });
      onRequest(request, response);
    },
    { headerMaxBytes: 16_384, headTimeoutMs: 10_000, requestTimeoutMs: 10_000, keepAliveTimeoutMs: 10_000 },
  );
  const server = createServer((socket) => connections.server.emit("connection", socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  closers.push(
    () => once(server.close(), "close"),
    () => connections.close(),
    () => socket.destroy(),
  );
  return { connections, socket, seen, paths: () => seen.map(({ path }) => path) };
}

const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Reads from the socket until it has come to hold the words. */
async function until(socket: Socket, words: string): Promise<string> {
  let all = "";
  while (!all.includes(words)) all += String((await once(socket, "data"))[0]);
  return all;
}

/** Statuses of all answers in what a connection sent. */
const statuses = (answers: string) => [...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1]));

describe("http1Connections", () => {
  it("hands over a pipelined request when the one before it is answered", async () => {
    const { socket, seen, paths } = await open();
    socket.write(post("/1", "x") + post("/2", "y") + get("/3"));
    await expect.poll(paths).toEqual(["/1"]);
    for (const count of [2, 3]) {
      seen.at(-1)!.response.end(`answer ${count - 1}`);
      await until(socket, `answer ${count - 1}`);
      await expect.poll(paths).toHaveLength(count);
    }
    expect(paths()).toEqual(["/1", "/2", "/3"]);
  });

  it("closes the connection of a client that pipelines without end", async () => {
    const { socket, paths } = await open();
    const closed = new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
    socket.resume().write(get("/").repeat(10_000));
    await closed;
    expect(paths()).toEqual(["/"]);
  });

  it("does not hand over what a client pipelined that has left", async () => {
    const { socket, seen, paths } = await open();
    socket.write(post("/1", "x") + post("/2", "y"));
    await expect.poll(paths).toEqual(["/1"]);
    const closed = once(seen[0]!.response, "close");
    socket.destroy();
    await closed;
    await new Promise(setImmediate);
    expect(paths()).toEqual(["/1"]);
  });

  it("answers a whole request before it refuses the garbage behind it", async () => {
    const { socket, seen, paths } = await open();
    socket.write(`${post("/1", "x")}garbage\r\n\r\n`);
    await expect.poll(paths).toEqual(["/1"]);
    await new Promise(setImmediate);
    seen[0]!.response.writeHead(201).end();
    expect(statuses(await text(socket))).toEqual([201, 400]);
  });

  it("refuses a request whose own body is malformed at once", async () => {
    const { socket } = await open((request) => request.resume());
    socket.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    expect(statuses(await text(socket))).toEqual([400]);
  });

  it.each([
    { name: "one request", sent: post("/1", "x"), want: [200] },
    { name: "pipelined ones", sent: post("/1", "x") + get("/2") + post("/3", "y"), want: [200, 200, 200] },
    { name: "half a request behind one", sent: post("/1", "x") + post("/2", "yy").slice(0, -1), want: [200, 400] },
  ])("answers a client that has sent $name and nothing more, then closes", async ({ sent, want }) => {
    const { socket, seen, paths } = await open((request) => request.resume());
    socket.end(sent);
    const answers = text(socket);
    await expect.poll(paths).toEqual(["/1"]);
    const { socket: served } = seen[0]!.response.req;
    if (!served.readableEnded) await once(served, "end");
    for (let i = 0; i < want.length; i++) {
      await expect.poll(() => seen.length > i || socket.readableEnded).toBe(true);
      seen[i]?.response.end();
    }
    expect(statuses(await answers)).toEqual(want);
  });

  it("asks a client that has sent all and waits for long whether it is there, and answers it", async () => {
    const { socket, seen, paths } = await open();
    socket.end(post("/1", "x"));
    await expect.poll(paths).toEqual(["/1"]);
    const asked = await until(socket, "\r\n\r\n");
    seen[0]!.response.writeHead(201).end();
    expect(statuses(asked + (await text(socket)))).toEqual([102, 201]);
  });

  it.each(["destroy", "resetAndDestroy"] as const)("notices that a client that waits has gone (%s)", async (leave) => {
    const { socket, seen, paths } = await open();
    socket.write(post("/1", "x"));
    await expect.poll(paths).toEqual(["/1"]);
    const closed = once(seen[0]!.response, "close");
    socket[leave]();
    await closed;
    expect(seen[0]!.response.writableFinished).toBe(false);
  });

  it("ends an answer without an end when its client sends nothing more", async () => {
    const { socket, seen, paths } = await open();
    socket.end(post("/1", "x"));
    await expect.poll(paths).toEqual(["/1"]);
    seen[0]!.response.write("a part");
    await once(seen[0]!.response, "close");
  });

  it("answers what was pipelined before it closes", async () => {
    const { connections, socket, seen, paths } = await open();
    socket.write(get("/1") + get("/2"));
    await expect.poll(paths).toEqual(["/1"]);
    connections.close();
    seen[0]!.response.end();
    await expect.poll(paths).toEqual(["/1", "/2"]);
    seen[1]!.response.end();
    expect(statuses(await text(socket))).toEqual([200, 200]);
  });
});

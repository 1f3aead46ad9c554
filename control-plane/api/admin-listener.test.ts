import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { openLog } from "../telemetry/log.ts";
import { type AdminListener, type AdminListenerOptions, startAdminListener } from "./admin-listener.ts";
import { type AnyRequest, type AnyResponse, answer } from "./answer.ts";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** Length 0, type SETTINGS, no flags, stream 0. */
const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const browser = { "sec-fetch-site": "cross-site", origin: "http://evil.example" };

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Answers with how many bytes came and over which version. */
async function echoLength(request: AnyRequest, response: AnyResponse) {
  const body = await text(request);
  answer(response, 200, { face: "rpc", version: request.httpVersion, length: body.length });
}

async function start(given: Partial<AdminListenerOptions> = {}): Promise<AdminListener & { port: number }> {
  const listener = await startAdminListener({
    listens: [{ host: "127.0.0.1", port: 0 }],
    adminHosts: ["admin.example"],
    rpc: { serves: (path) => path === "/a.B/C", handle: echoLength },
    rest: async (request, response) => answer(response, 200, { face: "rest", length: (await text(request)).length }),
    log: openLog("silent"),
    ...given,
  });
  closers.push(() => listener.close());
  return { ...listener, port: Number(listener.addresses[0]!.split(":").at(-1)) };
}

async function send(
  port: number,
  options: RequestOptions,
  body = "",
): Promise<{ status: number; body: string; head: IncomingMessage }> {
  const request = httpRequest({ host: "127.0.0.1", port, agent: false, ...options });
  request.end(body);
  const [head] = (await once(request, "response")) as [IncomingMessage];
  return { status: head.statusCode!, body: await text(head), head };
}

function dial(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  closers.push(() => socket.destroy());
  return socket;
}

async function sendHttp2(port: number, headers: Record<string, string>, body = "") {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  closers.push(() => session.destroy());
  const stream = session.request({ ":method": "POST", ...headers });
  stream.end(body);
  const [head] = await once(stream, "response");
  return { status: head[":status"] as number, headers: head, body: await text(stream) };
}

describe("startAdminListener", () => {
  it("sends HTTP/1.1 to REST, and RPC paths to the RPC face over both versions", async () => {
    const { port } = await start();
    expect(JSON.parse((await send(port, { path: "/services" })).body)).toEqual({ face: "rest", length: 0 });
    const rpc1 = await send(port, { path: "/a.B/C?x=1", method: "POST" }, "12345");
    expect(JSON.parse(rpc1.body)).toEqual({ face: "rpc", version: "1.1", length: 5 });
    const rpc2 = await sendHttp2(port, { ":path": "/a.B/C" }, "12345");
    expect(JSON.parse(rpc2.body)).toEqual({ face: "rpc", version: "2.0", length: 5 });
  });

  it.each([100_000, 3_000_000])("takes uploads of %i bytes whole over both versions", async (length) => {
    const { port } = await start();
    const body = "x".repeat(length);
    expect(JSON.parse((await send(port, { path: "/up", method: "POST" }, body)).body).length).toBe(length);
    expect(JSON.parse((await sendHttp2(port, { ":path": "/a.B/C" }, body)).body).length).toBe(length);
  });

  it.each([1, 5, 23])("recognises a preface that comes in pieces of %i bytes", async (size) => {
    const { port } = await start();
    const socket = dial(port).setNoDelay(true);
    for (let at = 0; at < preface.length; at += size) {
      socket.write(preface.slice(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(emptySettings);
    const [bytes] = (await once(socket, "data")) as [Buffer];
    expect(bytes[3]).toBe(4);
  });

  it("takes a method that begins like the preface for HTTP/1.1", async () => {
    const { port } = await start();
    const socket = dial(port).setNoDelay(true);
    socket.write("PR");
    await new Promise((resolve) => setImmediate(resolve));
    socket.write("OPFIND / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  });

  it("keeps a connection for further requests, also where they come in one piece", async () => {
    const { port } = await start();
    const socket = dial(port);
    const get = "GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write(get + get + get.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    expect((await text(socket)).match(/"face":"rest"/g)).toHaveLength(3);
  });

  it.each(["", "PRI * HT", "GET / HTTP/1.1\r\nhost: loc"])(
    "gives up on a connection that stops after %j",
    async (bytes) => {
      const { port } = await start({ limits: { headTimeoutMs: 50 } });
      const socket = dial(port);
      socket.write(bytes);
      const answered = await text(socket);
      if (bytes.startsWith("GET")) expect(answered).toMatch(/^HTTP\/1.1 408 /);
      else expect(answered).toBe("");
    },
  );

  it.each([
    ["what is no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"],
    ["a header without name", "GET / HTTP/1.1\r\nhost: localhost\r\n: x\r\n\r\n", "400"],
    ["two lengths", "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"],
    ["a huge head", `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(40_000)}\r\n\r\n`, "431"],
  ])("answers %s in JSON and closes", async (_name, bytes, status) => {
    const { port } = await start();
    const socket = dial(port);
    socket.write(bytes);
    const [head, body] = (await text(socket)).split("\r\n\r\n");
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(body!)).toEqual({ message: expect.any(String) });
  });

  it.each([
    ["a plain HTTP/2 request", {}, 505],
    ["an unknown gRPC method", { "content-type": "application/grpc+proto" }, 200],
  ])("answers %s cleanly", async (_name, headers, status) => {
    const { port } = await start();
    const answered = await sendHttp2(port, { ":path": "/services", ...headers });
    expect(answered.status).toBe(status);
    if (status === 200) expect(answered.headers["grpc-status"]).toBe("12");
    else expect(JSON.parse(answered.body).message).toMatch(/HTTP\/1.1/);
  });

  it("survives a face that throws", async () => {
    const rest = () => {
      throw new Error("a bug");
    };
    const { port } = await start({ rest, rpc: { serves: () => false, handle: rest } });
    expect((await send(port, { path: "/" })).status).toBe(500);
    expect((await send(port, { path: "/" })).status).toBe(500);
  });

  it.each<[string, RequestOptions]>([
    ["POST /services", { headers: browser, path: "/services", method: "POST" }],
    ["PUT", { headers: browser, path: "/services/x", method: "PUT" }],
    ["PATCH", { headers: browser, path: "/services/x", method: "PATCH" }],
    ["DELETE", { headers: browser, path: "/services/x", method: "DELETE" }],
    ["a Connect POST", { headers: { ...browser, "content-type": "application/json" }, path: "/a.B/C", method: "POST" }],
    [
      "a gRPC-Web POST",
      { headers: { ...browser, "content-type": "application/grpc-web+proto" }, path: "/a.B/C", method: "POST" },
    ],
    ["a text/plain POST", { headers: { ...browser, "content-type": "text/plain" }, path: "/services", method: "POST" }],
    ["a POST of a sandboxed page", { headers: { origin: "null" }, path: "/services", method: "POST" }],
    ["a POST from another port", { headers: { origin: "http://127.0.0.1:3000" }, path: "/services", method: "POST" }],
    ["a POST without Origin", { headers: { "sec-fetch-site": "same-site" }, path: "/services", method: "POST" }],
    ["a rebound GET", { headers: { host: "evil.example:8001" }, path: "/services" }],
    [
      "a rebound POST",
      { headers: { host: "evil.example", origin: "http://evil.example" }, path: "/a.B/C", method: "POST" },
    ],
  ])("refuses what a browser sends for a foreign page: %s", async (_name, options) => {
    const { port } = await start();
    const refused = await send(port, options, options.method === undefined ? "" : "x".repeat(10));
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.body)).toEqual({ message: expect.any(String) });
    expect(refused.head.headers.connection).toBe("close");
  });

  it.each([
    ["as the target's authority", "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n"],
    ["before our own in it", "GET http://evil.example@localhost/ HTTP/1.1\r\nhost: localhost\r\n"],
    ["in a second Host", "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n"],
  ])("refuses a foreign name also %s", async (_name, head) => {
    const { port } = await start();
    const socket = dial(port);
    socket.write(`${head}connection: close\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1.1 403 /);
  });

  it.each([
    ["a foreign authority", { ":authority": "evil.example" }, 403],
    ["a foreign origin", { ":authority": "localhost:1", origin: "http://evil.example" }, 403],
    ["our own name", { ":authority": "localhost:1" }, 200],
    ["a configured name", { ":authority": "admin.example" }, 200],
  ])("checks HTTP/2 requests likewise: %s", async (_name, headers, status) => {
    const { port } = await start();
    expect((await sendHttp2(port, { ":path": "/a.B/C", ...headers })).status).toBe(status);
  });

  it("lets through what curl sends", async () => {
    const { port } = await start();
    for (const host of ["localhost:8001", `127.0.0.1:${port}`, "[::1]:8001", "admin.example"])
      expect((await send(port, { path: "/services", method: "POST", headers: { host } })).status).toBe(200);
  });

  it("cuts off a session that resets its streams all the time", async () => {
    let callCount = 0;
    const { port } = await start({ rpc: { serves: () => true, handle: () => void callCount++ } });
    const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => {});
    const closed = new Promise((resolve) => session.once("close", resolve));
    let sentCount = 0;
    const flood = () => {
      for (let i = 0; i < 50 && !session.closed && !session.destroyed; i++, sentCount++)
        session
          .request({ ":path": "/a.B/C" }, { endStream: false })
          .on("error", () => {})
          .close(constants.NGHTTP2_CANCEL);
      if (!session.destroyed && sentCount < 20_000) setImmediate(flood);
    };
    flood();
    await closed;
    expect(callCount).toBeLessThan(1000);
  });

  it("cuts off a session that makes us reset its streams all the time", async () => {
    const { port } = await start({ rpc: { serves: () => true, handle: () => {} } });
    const socket = dial(port).on("error", () => {});
    socket.write(preface);
    socket.write(emptySettings);
    // POST http /a.B/C for localhost, in HPACK's literals.
    const head = Buffer.from([0x83, 0x86, 0x04, 6, ...Buffer.from("/a.B/C"), 0x01, 9, ...Buffer.from("localhost")]);
    const uint32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
    let id = 1;
    const flood = () => {
      for (let i = 0; i < 50; i++, id += 2) {
        // HEADERS that end the head but not the stream, then a WINDOW_UPDATE of nothing, which is a stream error.
        socket.write(Buffer.from([0, 0, head.length, 1, 4, ...uint32(id), ...head]));
        socket.write(Buffer.from([0, 0, 4, 8, 0, ...uint32(id), 0, 0, 0, 0]));
      }
      if (!socket.destroyed && id < 20_000) setImmediate(flood);
    };
    socket.resume();
    flood();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(id).toBeLessThan(2000);
  });

  it("closes a session without streams after a while, and no other", async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const handle = async (_request: AnyRequest, response: AnyResponse) => {
      await held;
      answer(response, 200, {});
    };
    const { port } = await start({ rpc: { serves: () => true, handle }, limits: { idleTimeoutMs: 30 } });
    const idle = connectHttp2(`http://127.0.0.1:${port}`);
    const busy = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = busy.request({ ":path": "/" }).resume();
    await once(stream, "ready");
    await once(idle, "close");
    expect(busy.closed).toBe(false);
    release();
    await once(busy, "close");
  });

  it("survives a client that leaves while a face stops listening for that", async () => {
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const rest = (request: AnyRequest) => {
      const listener = () => {};
      request.once("error", listener);
      // node:http looks for a listener in the first of these turns, and emits the error after the second.
      request.once("aborted", () => process.nextTick(() => process.nextTick(() => request.off("error", listener))));
      request.once("close", leave);
      reach();
    };
    const { port } = await start({ rest });
    const socket = dial(port);
    socket.write("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nx");
    await reached;
    socket.resetAndDestroy();
    // An error event without any listener would end the process, and fails this test run.
    await left;
  });

  it("answers a client that sends nothing more after its request, and ends the HTTP/2 session of one", async () => {
    const rest = async (request: IncomingMessage, response: AnyResponse) => {
      const length = (await text(request)).length;
      if (!request.socket.readableEnded) await once(request.socket, "end");
      await new Promise(setImmediate);
      answer(response, 200, { length });
    };
    const { port } = await start({ rest });
    const client = dial(port);
    client.end("POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nab");
    expect(await text(client)).toMatch(/^HTTP\/1.1 200 OK.*"length":2}/s);
    const session = dial(port);
    session.end(Buffer.concat([Buffer.from(preface), emptySettings]));
    await once(session.resume(), "close");
  });

  it("opens the same port on the twin address, and says so", async () => {
    const { addresses } = await start({ listens: [{ host: "127.0.0.1", port: 0, twinHost: "127.0.0.2" }] });
    const ports = addresses.map((address) => address.split(":").at(-1));
    expect(addresses[1]).toMatch(/^127.0.0.2:/);
    expect(new Set(ports).size).toBe(1);
  });

  it("does without a twin that the machine does not have", async () => {
    const { addresses } = await start({ listens: [{ host: "127.0.0.1", port: 0, twinHost: "192.0.2.1" }] });
    expect(addresses).toHaveLength(1);
  });

  it("says in one line that a port is in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    closers.push(() => other.close());
    const { port } = other.address() as { port: number };
    await expect(start({ listens: [{ host: "127.0.0.1", port }] })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the port is in use by another process`,
    );
  });

  it("closes more connections than it takes", async () => {
    const { port } = await start({ limits: { maxConnections: 1 } });
    const first = dial(port);
    first.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await once(first, "data");
    await once(
      dial(port).on("error", () => {}),
      "close",
    );
    expect(first.destroyed).toBe(false);
  });

  it("finishes what is under way before it closes", async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    let pending = 2;
    const handle = async (_request: AnyRequest, response: AnyResponse) => {
      if (--pending === 0) reach();
      await held;
      answer(response, 200, { done: true });
    };
    const listener = await start({ rest: handle, rpc: { serves: (path) => path === "/a.B/C", handle } });
    const idle = dial(listener.port);
    await once(idle, "connect");
    const slow1 = send(listener.port, { path: "/slow", headers: { connection: "keep-alive" } });
    const slow2 = sendHttp2(listener.port, { ":path": "/a.B/C" });
    await reached;
    const closed = listener.close();
    await once(idle.resume(), "close");
    release();
    expect((await slow1).head.headers.connection).toBe("close");
    expect((await slow2).status).toBe(200);
    await closed;
    await expect(send(listener.port, { path: "/" })).rejects.toThrow("ECONNREFUSED");
  });

  it("cuts off what does not finish in time", async () => {
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const listener = await start({ rest: () => reach(), limits: { closeGraceMs: 20 } });
    const stuck = send(listener.port, { path: "/stuck" });
    await reached;
    const [outcome] = await Promise.allSettled([stuck, listener.close()]);
    expect(outcome.status).toBe("rejected");
  });
});

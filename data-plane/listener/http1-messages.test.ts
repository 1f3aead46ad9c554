import { connect, Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  answerText,
  backend,
  closedPort,
  get,
  rig as openRig,
  post,
  type RawMessage,
  type RigOptions,
  rawBackend,
  type Transport,
  until,
} from "./proxy-server.test-rig.ts";

const echoTarget = (request: RawMessage) => /^\S+ (\S+)/.exec(request.head)![1]!;

const chunkedPost = (lines: string, trailers: string) =>
  `POST / HTTP/1.1\r\nHost: a\r\n${lines}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${trailers}\r\n`;
const chunkedAnswer = (lines: string, trailers: string) =>
  `HTTP/1.1 200 OK\r\n${lines}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${trailers}\r\n`;

/** How often sockets with each of these peers have written: what left together counts once, however it arrives. */
function countWrites(...remotePorts: readonly number[]): number[] {
  const counts = remotePorts.map(() => 0);
  for (const method of ["_write", "_writev"] as const) {
    const write = Socket.prototype[method]! as (...args: unknown[]) => void;
    const spy = vi.spyOn(Socket.prototype, method).mockImplementation(function (this: Socket, ...args: unknown[]) {
      const at = remotePorts.indexOf(this.remotePort!);
      if (at >= 0) counts[at]!++;
      write.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
  }
  return counts;
}

describe("an answer's Date", () => {
  const dates = (head: string) => head.match(/^Date: .*$/gim) ?? [];

  it.each([
    ["that the server sent", "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"],
    ["that the server sent behind others", "X: y\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nY: x\r\n"],
  ])("%s stays, and is the only one", async (_, lines) => {
    const target = await backend((_request, socket) => void socket.write(answerText("hello", lines)));
    const proxy = await openRig({ ports: [target.port] });
    const { head } = await proxy.ask(get("/"));
    expect(dates(head)).toEqual([expect.stringMatching(/^date: Thu, 01 Jan 1970 00:00:00 GMT$/i)]);
  });

  it.each([
    ["none", ""],
    ["one that it says is for this hop", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: date\r\n"],
  ])("is when it came where the server sent %s", async (_, lines) => {
    const target = await backend((_request, socket) => void socket.write(answerText("hello", lines)));
    const proxy = await openRig({ ports: [target.port] });
    const before = Math.floor(Date.now() / 1_000) * 1_000;
    const { head } = await proxy.ask(get("/"));
    expect(dates(head)).toHaveLength(1);
    const dateMs = Date.parse(dates(head)[0]!.slice(6));
    expect(dates(head)[0]).toBe(`Date: ${new Date(dateMs).toUTCString()}`);
    expect([dateMs >= before, dateMs <= Date.now()]).toEqual([true, true]);
  });

  it("is not put into interim answers", async () => {
    const interim = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    const target = await backend((_request, socket) => void socket.write(interim + answerText("hello")));
    const proxy = await openRig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    expect((await client.answer()).head).toBe(interim);
    expect(dates((await client.answer()).head)).toHaveLength(1);
  });
});

describe("a Host with the dot of the root", () => {
  it.each([
    ["example.com", "example.com."],
    ["example.com.", "example.com"],
    ["*.com", "Example.COM.:8000"],
    ["example.*", "example.com."],
  ])("is the same host: route %s, Host: %s", async (host, sent) => {
    const target = await backend((_request, socket) => void socket.write(answerText("hello")));
    const proxy = await openRig({ ports: [target.port], routes: [{ hosts: [host] }] });
    const client = proxy.client().send(`GET / HTTP/1.1\r\nHost: ${sent}\r\n\r\n`);
    expect((await client.answer()).body).toBe("hello");
    client.send("GET / HTTP/1.1\r\nHost: example.com..\r\n\r\n");
    expect((await client.answer()).head).toMatch(host === "example.*" ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 404 /);
  });
});

describe.each<Transport>(["plain", "TLS"])("a last request, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it.each([
    ["alone: closed at once", ""],
    ["with more behind it: closed once the client has ended too", get("/never")],
  ])("%s", async (_, more) => {
    const target = await backend((_request, socket) => void socket.write(answerText("hello")));
    const proxy = await rig({ ports: [target.port] });
    const { port } = proxy.server;
    const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    client.write(get("/", "Connection: close\r\n") + more);
    let text = "";
    for await (const bytes of client.iterator({ destroyOnReturn: false })) text += bytes;
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n\r\nhello$/s);
    // The client has not sent FIN yet.
    if (more !== "") expect(proxy.counter("connections_active")).toBe(1);
    else await until(() => proxy.counter("connections_active") === 0);
    client.end();
    await until(() => proxy.counter("connections_active") === 0);
    expect(target.requests).toHaveLength(1);
  });
});

describe.each<Transport>(["plain", "TLS"])("trailers, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  const sent = "Digest: x\r\nHost: evil\r\nAuthorization: y\r\nContent-Length: 7\r\nX-Named: z\r\nGrpc-Status: 0\r\n";
  const kept = "3\r\nabc\r\n0\r\nDigest: x\r\nGrpc-Status: 0\r\n\r\n";

  it("pass both ways, without those that must not come there", async () => {
    const lines = "Trailer: Digest\r\nConnection: X-Named\r\n";
    const target = await backend((_, socket) => void socket.write(chunkedAnswer(lines, sent)));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 1; i <= 3; i++) {
      const answer = await client.send(chunkedPost(lines, sent)).answer();
      expect(answer.body).toBe(kept);
      expect(answer.head).toContain("Trailer: Digest\r\n");
      expect(target.requests.at(-1)!.body).toBe(kept);
      expect(target.requests.at(-1)!.head).toContain("Trailer: Digest\r\n");
    }
    expect(target.connectionCount).toBe(1);
  });

  it("pass however they are cut", async () => {
    const target = await backend(async (_, socket) => {
      for (const byte of chunkedAnswer("", sent)) {
        socket.write(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (const byte of chunkedPost("", sent)) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const want = kept.replace("Grpc", "X-Named: z\r\nGrpc");
    expect((await client.answer()).body).toBe(want);
    expect(target.requests[0]!.body).toBe(want);
  });

  it("are left out where the answer is not in chunks, and so is what announces them", async () => {
    const target = await backend((_, socket) => void socket.write(chunkedAnswer("Trailer: Digest\r\n", sent)));
    const proxy = await rig({ ports: [target.port] });
    const rest = await proxy.client().send("GET / HTTP/1.0\r\nTrailer: Digest\r\n\r\n").rest();
    expect(rest).toMatch(/Connection: close\r\n\r\nabc$/);
    expect(rest).not.toContain("Trailer");
    expect(target.requests[0]!.head).not.toContain("Trailer");
  });

  it.each([
    ["a flood of them", "A: b\r\n".repeat(33), "trailer_too_large"],
    ["one too long", `A: ${"b".repeat(9_000)}\r\n`, "trailer_too_large"],
    ["a folded one", "A: b\r\n c\r\n", "trailer"],
  ])("are refused when they break the rules: %s", async (_, trailers, problem) => {
    const target = await backend((_request, socket) => void socket.write(chunkedAnswer("", trailers)));
    const proxy = await rig({ ports: [target.port] });
    expect(await proxy.client().send(chunkedPost("", trailers)).rest()).toContain(`details="${problem}"`);
    const cut = proxy.client().send(get("/"));
    expect(await cut.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(await cut.closed).toBe("reset");
  });

  it.each([
    ["trailers", true],
    ["deflate;q=0.5, Trailers", true],
    ["trailers;q=1", false],
    ["gzip", false],
  ])("are asked of the server when the client takes them: TE: %s", async (te, isAsked) => {
    const target = await backend((_, socket) => void socket.write(answerText("")));
    const proxy = await rig({ ports: [target.port] });
    await proxy.ask(get("/", `TE: ${te}\r\nConnection: TE\r\n`));
    expect(/^TE: trailers\r$/m.test(target.requests[0]!.head)).toBe(isAsked);
    expect(/^Connection: TE\r$/m.test(target.requests[0]!.head)).toBe(isAsked);
    expect(target.requests[0]!.head).not.toContain("deflate");
  });
});

describe.each<Transport>(["plain", "TLS"])("a client that closes its sending half, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it.each([
    ["a request without a body", get("/a")],
    ["a request with a body", post("/a", "body")],
    ["a request in chunks", chunkedPost("", "").replace("POST /", "POST /a")],
  ])("gets its answer after %s", async (_, text) => {
    let answer = () => {};
    const target = await backend((request, socket) => {
      answer = () => socket.write(answerText(echoTarget(request)));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(text);
    client.socket.end();
    await until(() => target.requests.length === 1);
    setImmediate(() => answer());
    expect((await client.answer()).body).toBe("/a");
    expect(await client.closed).toBe("end");
    expect(proxy.counter("client_aborts")).toBe(0);
  });

  it("gets all answers to what it had sent before, and half a request is left", async () => {
    const target = await backend((request, socket) => {
      setImmediate(() => socket.write(answerText(echoTarget(request))));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(`${get("/1")}${post("/2", "x")}${get("/3")}GET /4 HTTP/1.1\r\nHo`);
    client.socket.end();
    for (const want of ["/1", "/2", "/3"]) expect((await client.answer()).body).toBe(want);
    expect(await client.rest()).toBe("");
    expect(target.requests).toHaveLength(3);
  });

  it("is gone when it does so in the midst of a request", async () => {
    const target = await backend(() => {});
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    await until(() => target.sockets.size === 1);
    client.socket.end();
    expect(await client.rest()).toBe("");
    await until(() => target.sockets.size === 0);
    expect(proxy.counter("client_aborts")).toBe(1);
  });

  it("and is gone altogether is noticed when the answer comes", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    await until(() => proxy.counter("responses_2xx") === 1);
    client.close();
    await client.closed;
    while (target.sockets.size > 0) {
      for (const socket of target.sockets) socket.write("1\r\nx\r\n");
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(proxy.counter("client_aborts")).toBe(1);
  });
});

describe.each<Transport>(["plain", "TLS"])("pipelined requests, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it("that we answer ourselves are answered in one write", async () => {
    const proxy = await rig({ ports: [], routes: [{ paths: ["/only"] }] });
    const client = proxy.client();
    await client.send(get("/x")).answer();
    const writes = countWrites(client.socket.localPort!);
    client.send(get("/x").repeat(20));
    for (let i = 0; i < 20; i++) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 404 /);
    expect(writes).toEqual([1]);
    expect((await client.send(get("/x")).answer()).head).toMatch(/^HTTP\/1\.1 404 /);
  });

  it("pass on in one write each: head and body, both ways", async () => {
    const target = await rawBackend((socket) => {
      socket.on("data", () => socket.write(answerText("hello")));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    await client.send(post("/", "before")).answer();
    const writes = countWrites(target.port, client.socket.localPort!);
    client.send(post("/", "first") + post("/", "second") + post("/", "third"));
    for (let i = 0; i < 3; i++) expect((await client.answer()).body).toBe("hello");
    expect(writes).toEqual([3, 3]);
  });

  it("mix answers of our own and of servers in order", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(echoTarget(request))));
    const proxy = await rig({ ports: [target.port], routes: [{ paths: ["/p"], stripPath: false }] });
    const paths = Array.from({ length: 60 }, (_, i) => (i % 3 === 1 ? `/p/${i}` : `/none/${i}`));
    const client = proxy.client().send(paths.map((path) => get(path)).join(""));
    for (const path of paths) {
      const { head, body } = await client.answer();
      if (path.startsWith("/p")) expect(body).toBe(path);
      else expect(head).toMatch(/^HTTP\/1\.1 404 /);
    }
  });

  it.each([
    ["nothing", ""],
    ["half a head", get("/").slice(0, 9)],
    ["another request with its body", post("/", "again")],
  ])("go on where a body that nobody took was followed by %s", async (_, follows) => {
    const proxy = await rig({ ports: [await closedPort()], service: { retries: 0 } });
    const client = proxy.client().send(post("/", "hello") + follows);
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 502 /);
    if (follows.endsWith("again")) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 502 /);
    const rest = get("/").startsWith(follows) ? get("/").slice(follows.length) : get("/");
    expect((await client.send(rest).answer()).head).toMatch(/^HTTP\/1\.1 502 /);
  });

  it("are told where they end when the node leaves", async () => {
    const proxy = await rig({
      ports: [],
      routes: [{ paths: ["/only"] }],
      server: { limits: { pipelinedMaxCount: 1 } },
    });
    const client = proxy.client().send(get("/x").repeat(1_000));
    let { head } = await client.answer();
    const closed = proxy.server.close(5_000);
    while (!head.includes("\r\nConnection: close\r\n")) head = (await client.answer()).head;
    expect(await client.rest()).toBe("");
    await closed;
  });

  it("are not read any further than one read ahead", async () => {
    let answer = () => {};
    const target = await backend((_, socket) => {
      answer = () => socket.write(answerText("late"));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/first"));
    await until(() => target.requests.length === 1);
    const before = process.memoryUsage().arrayBuffers;
    const totalBytes = 40 * 1_048_576;
    client.socket.write(Buffer.alloc(totalBytes, get("/next")));
    // Far more turns than reading all of it would take.
    let turns = 0;
    await until(() => ++turns === 2_000);
    // The kernel holds some megabytes on both ends; the rest has to stay with the client.
    expect(client.socket.writableLength).toBe(totalBytes);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(totalBytes + 4 * 1_048_576);
    expect(target.requests).toHaveLength(1);
    answer();
    expect((await client.answer()).body).toBe("late");
    await until(() => target.requests.length === 2);
  });
});

describe.each<Transport>(["plain", "TLS"])("HTTP/1.0 servers, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it.each([
    ["a length, without keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 3],
    ["a length and keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", 1],
    [
      "close beside keep-alive",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 5\r\n\r\nhello",
      3,
    ],
    ["an HTTP/1.1 answer that closes", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", 3],
    ["an empty Connection", "HTTP/1.1 200 OK\r\nConnection: \r\nContent-Length: 5\r\n\r\nhello", 1],
    [
      "a Connection that names itself",
      "HTTP/1.1 200 OK\r\nConnection: connection\r\nContent-Length: 5\r\n\r\nhello",
      1,
    ],
    ["an unknown option", "HTTP/1.1 200 OK\r\nConnection: keepalive\r\nContent-Length: 5\r\n\r\nhello", 1],
  ])("keep their connection only when they say so: %s", async (_, answer, connections) => {
    const target = await backend((_request, socket) => void socket.write(answer));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 3; i++) expect((await client.send(get("/")).answer()).body).toBe("hello");
    expect(target.connectionCount).toBe(connections);
  });

  it("end a body by closing, keep-alive or not", async () => {
    const target = await backend(
      (_, socket) => void socket.end("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello"),
    );
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 3; i++) expect((await client.send(get("/")).answer()).body).toBe("5\r\nhello\r\n0\r\n\r\n");
    expect(target.connectionCount).toBe(3);
    expect((await proxy.client().send("GET / HTTP/1.0\r\n\r\n").rest()).endsWith("\r\n\r\nhello")).toBe(true);
  });
});

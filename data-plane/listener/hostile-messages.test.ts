import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  answerText,
  backend,
  closedPort,
  get,
  rig as openRig,
  post,
  type RigOptions,
  rawBackend,
  type Transport,
  until,
} from "./proxy-server.test-rig.ts";

const hello = () => backend((_, socket) => void socket.write(answerText("hello")));

describe.each<Transport>(["plain", "TLS"])("hostile requests, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it.each([
    ["a broken request line", "nonsense\r\n\r\n", 400],
    ["TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00".repeat(80), 400],
    ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
    ["two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400],
    [
      "length and chunked",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["a head of 256 KB", `GET / HTTP/1.1\r\nHost: a\r\n${`X: ${"y".repeat(1_000)}\r\n`.repeat(256)}\r\n`, 431],
    ["a field of 256 KB", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(256_000)}\r\n\r\n`, 431],
    ["2,000 fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(2_000)}\r\n`, 431],
    ["a target of 100 KB", `GET /${"y".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ["HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505],
    ["another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417],
    ["CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405],
    ["TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["an escaped NUL in the path", get("/a%00b"), 400],
    ["an escaped slash in the path", get("/a%2fb"), 400],
  ])("answers %s, closes, and never reads what follows", async (_, text, status) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(text + get("/smuggled"));
    const rest = await client.rest();
    expect(rest).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*\r\nConnection: close\r\n`, "s"));
    expect(rest.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(target.requests).toHaveLength(0);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
    expect(proxy.defects).toEqual([]);
  });

  it("breaks the attempt off when a chunked body breaks the rules", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port] });
    const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const client = proxy.client().send(`${head}3\r\nabc\r\n`);
    await until(() => target.sockets.size === 1);
    client.send(`3\r\nabcGET /smuggled HTTP/1.1\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 .*details="chunk_end"/s);
    await until(() => target.sockets.size === 0);
    expect(target.requests).toHaveLength(0);
  });

  it("S16: is not ended by any garbage", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port] });
    const leads = [
      "",
      "GET ",
      get("/").slice(0, -2),
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for (let i = 0; i < 200; i++) {
      const client = proxy
        .client()
        .send(leads[i % leads.length]! + randomBytes(1 + ((i * 37) % 900)).toString("latin1"));
      client.socket.end();
      await client.closed;
    }
    expect((await proxy.ask(get("/"))).body).toBe("hello");
    expect(proxy.defects).toEqual([]);
    await until(() => proxy.counter("connections_active") === 0);
  });

  it.each([
    ["half a head", "GET / HTTP/1.1\r\nHost: a", /^HTTP\/1\.1 408 /],
    ["nothing", "", /^$/],
    ["half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", /^HTTP\/1\.1 408 /],
  ])("does not wait for ever for a client that sends %s", async (_, text, want) => {
    const target = await hello();
    const limits = { headTimeoutMs: 100, rateGraceMs: 250, keepAliveTimeoutMs: 100, lingerTimeoutMs: 50 };
    const proxy = await rig({ ports: [target.port], server: { limits } });
    expect(await proxy.client().send(text).rest()).toMatch(want);
    await until(() => target.sockets.size === 0);
  });

  it.each([
    ["half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"],
    ["no body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"],
    ["half a head", "POST / HTTP/1.1\r\nHost: a"],
  ])("does not wait for more after %s when FIN came during the request before", async (_, text) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/") + text);
    client.socket.end();
    expect((await client.answer()).body).toBe("hello");
    await client.closed;
    await until(() => proxy.counter("connections_active") === 0);
  });

  it("reads on for the body of a request that came behind another", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/") + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    await client.answer();
    expect((await client.send("abc").answer()).body).toBe("abc");
  });

  it("does not let a head's time start anew with every byte", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits: { headTimeoutMs: 300, lingerTimeoutMs: 50 } } });
    const client = proxy.client().send("GET / HTTP/1.1\r\nHost: a\r\n");
    const dripping = setInterval(() => client.send("X: y\r\n"), 20);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(dripping);
  });

  it("closes a kept connection that nothing comes on any more", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits: { keepAliveTimeoutMs: 100 } } });
    const client = proxy.client().send(get("/"));
    await client.answer();
    expect(await client.closed).toBe("end");
  });

  it("takes no more connections than it may", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits: { connectionMaxCount: 2 } } });
    const [first, second] = [proxy.client(), proxy.client()];
    await first.send(get("/")).answer();
    await second.send(get("/")).answer();
    await proxy.client().send(get("/")).closed;
    expect(proxy.counter("connections_refused")).toBe(1);
    first.close();
    await until(() => proxy.counter("connections_active") === 1);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
  });
});

describe.each<Transport>(["plain", "TLS"])("S16: hostile answers, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it.each([
    ["garbage", "SSH-2.0-OpenSSH_9\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
    ["a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"],
    ["length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"],
    ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"],
    ["a NUL", "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 5\r\n\r\nhello"],
    ["status 000", "HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ["an unasked upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"],
    ["a flood of interim answers", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100)],
    ["1 MB of fields", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(1_000_000)}\r\nContent-Length: 0\r\n\r\n`],
    ["a head without a line end that goes on for ever", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(300_000)}`],
    ["10,000 fields", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(10_000)}\r\n`],
    ["a first chunk that breaks the rules", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ["half a head", "HTTP/1.1 200 OK\r\nContent-Le"],
  ])("turns %s into 502 and never uses the connection again", async (name, answer) => {
    const target = await rawBackend((socket, number) => {
      socket.on("data", () => {
        if (number > 1) socket.write(answerText("hello"));
        else if (name === "half a head") socket.end(answer, "latin1");
        else socket.write(answer, "latin1");
      });
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    expect((await client.send(get("/")).answer()).head).toMatch(/^HTTP\/1\.1 502 /);
    expect((await client.send(get("/")).answer()).body).toBe("hello");
    expect(target.connectionCount).toBe(2);
    expect(proxy.defects).toEqual([]);
  });

  it.each([
    ["after a length", answerText("hello")],
    ["after no body", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["after the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ])("never takes bytes %s for another answer", async (_, answer) => {
    const target = await backend((_request, socket) => void socket.write(answer + answerText("smuggled")));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 3; i++)
      expect((await client.send(get("/")).answer(!answer.includes("204"))).body).not.toContain("smuggled");
    expect(target.connectionCount).toBe(3);
  });

  it("drops an idle connection on which the server speaks up", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port] });
    await proxy.ask(get("/"));
    for (const socket of target.sockets) socket.write(answerText("smuggled"));
    await until(() => target.sockets.size === 0);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
  });

  it.each([
    ["within a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", "HTTP/1.1"],
    ["within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal", "HTTP/1.1"],
    ["between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n", "HTTP/1.1"],
    [
      "within a chunk, for a client that knows no chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal",
      "HTTP/1.0",
    ],
  ])("shows the client that an answer was cut %s", async (_, answer, version) => {
    const target = await backend((_request, socket) => void socket.end(answer));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(`GET / ${version}\r\nHost: a\r\n\r\n`);
    expect(await client.closed).toBe("reset");
    expect(proxy.counter("responses_cut")).toBe(1);
  });

  it("shows a reset in the midst of an answer that its close would have ended", async () => {
    const target = await backend((_, socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\nhal", () => socket.resetAndDestroy());
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    expect(await client.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
  });
});

describe.each<Transport>(["plain", "TLS"])("lost attempts, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it("goes elsewhere with any method, and takes the refusing endpoint out once", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [await closedPort(), target.port] });
    const long = "x".repeat(300_000);
    for (const body of ["a", "", long]) {
      proxy.table.readmit(0, 0);
      for (let i = 0; i < 4; i++) expect((await proxy.ask(post("/", body))).body).toBe(body);
    }
    expect(proxy.ejected).toEqual(Array(3).fill("upstream:u 0 refused"));
  });

  it("leaves an endpoint in when it is all there is", async () => {
    const proxy = await rig({ ports: [await closedPort()] });
    for (let i = 0; i < 3; i++) {
      const { head } = await proxy.ask(get("/", "Accept: text/html\r\n"));
      expect(head).toMatch(/^HTTP\/1\.1 502 .*text\/html.*Proxy-Status: penstock; error=connection_refused/s);
    }
    expect(proxy.ejected).toEqual([]);
  });

  it("tries ejected endpoints when all are, so that recovery shows at once", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port, await closedPort()] });
    for (const row of [0, 1]) proxy.server.engine.endpoints.eject(0, row);
    for (let i = 0; i < 4; i++) expect((await proxy.ask(get("/"))).body).toBe("hello");
  });

  it.each([
    ["no retries are allowed", 0, 502],
    ["one is", 1, 200],
  ])("stops where the service says: when %s", async (_, retries, status) => {
    const target = await hello();
    const proxy = await rig({ ports: [await closedPort(), target.port], service: { retries } });
    expect((await proxy.ask(get("/"))).head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it.each([
    ["GET", get("/"), "hello", 3],
    ["PUT with a small body", post("/", "small").replace("POST", "PUT"), "hello", 3],
    ["POST", post("/", "small"), "An invalid response", 2],
  ])("meets a kept connection that closes on reuse: %s", async (_, text, want, received) => {
    const target = await backend((_request, socket, number) => {
      if (number === 1 && target.requests.length === 2) socket.destroy();
      else socket.write(answerText("hello"));
    });
    const proxy = await rig({ ports: [target.port], service: { retries: 0 } });
    await proxy.ask(get("/"));
    expect((await proxy.ask(text)).body).toContain(want);
    expect(target.requests).toHaveLength(received);
  });

  it("sends an idempotent request elsewhere when the server closes without an answer", async () => {
    const [bad, good] = [await backend((_, socket) => void socket.destroy()), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    for (let i = 0; i < 4; i++) expect((await proxy.ask(get("/"))).body).toBe("hello");
    expect(
      (await Promise.all([proxy.ask(post("/", "a")), proxy.ask(post("/", "a"))]))
        .map((each) => each.head.slice(9, 12))
        .sort(),
    ).toEqual(["200", "502"]);
    expect(bad.requests.filter((each) => each.head.startsWith("POST"))).toHaveLength(1);
  });

  it("times out an answer: elsewhere for GET, 504 for POST, which is not sent twice", async () => {
    const [hung, good] = [await backend(() => {}), await hello()];
    const proxy = await rig({ ports: [hung.port, good.port], service: { readTimeoutMs: 100 } });
    expect((await proxy.ask(get("/"))).body).toBe("hello");
    expect((await proxy.ask(get("/"))).body).toBe("hello");
    const posts = await Promise.all([proxy.ask(post("/", "a")), proxy.ask(post("/", "a"))]);
    expect(posts.map((each) => each.head.slice(9, 12)).sort()).toEqual(["200", "504"]);
    const sent = [...hung.requests, ...good.requests].filter((each) => each.head.startsWith("POST"));
    expect(sent).toHaveLength(2);
  });

  it("tells the server when the client is gone, also while nothing was answered", async () => {
    const target = await backend(() => {});
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    await until(() => target.requests.length === 1);
    // A FIN alone may come from a client that still waits for its answer.
    client.reset();
    await until(() => target.sockets.size === 0);
    expect(proxy.counter("client_aborts")).toBe(1);
    expect(proxy.counter("attempts_lost")).toBe(0);
  });

  it("tells the server when the client leaves in the midst of its body", async () => {
    const target = await backend(() => {});
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    await until(() => target.sockets.size === 1);
    client.close();
    await until(() => target.sockets.size === 0);
    expect(target.requests).toHaveLength(0);
  });
});

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { answerText, backend, get, post, rawBackend, rig, until } from "./proxy-server.test-rig.ts";

const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const chunked = (...sizes: number[]) =>
  `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${sizes
    .map((size) => `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`)
    .join("")}`;

describe("limits on heads", () => {
  const limits = { headMaxBytes: 500, targetMaxBytes: 100, fieldMaxCount: 5 };
  it.each([
    ["of 500 bytes", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(468)}\r\n\r\n`, 200, null],
    ["of one byte more", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(469)}\r\n\r\n`, 431, "limit_head_bytes"],
    ["without an end", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(5_000)}`, 431, "limit_head_bytes"],
    ["of five headers", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(4)}\r\n`, 200, null],
    ["of six headers", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(5)}\r\n`, 431, "limit_header_count"],
    ["with a URI of 100 bytes", get(`/${"y".repeat(99)}`), 200, null],
    ["with a URI of 101 bytes", get(`/${"y".repeat(100)}`), 414, "limit_uri_bytes"],
  ] as const)("hold for a head %s", async (_, text, status, counter) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits } });
    expect((await proxy.ask(text)).head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (counter !== null) expect(proxy.counter(counter)).toBe(1);
    expect(target.requests).toHaveLength(status === 200 ? 1 : 0);
  });
});

describe("row 46: the limit on bodies", () => {
  const routes = [{ bodyMaxBytes: 10 }];

  it.each([
    ["the route's", { routes, limits: { bodyMaxBytes: 5 } }],
    ["the node's, where the route says nothing", { routes: [{}], limits: { bodyMaxBytes: 10 } }],
  ])("is %s", async (_, { routes: own, limits }) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], routes: own, server: { limits } });
    const client = proxy.client().send(post("/", "x".repeat(10)));
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 200 /);
    expect(await client.send(post("/", "x".repeat(11))).rest()).toMatch(/^HTTP\/1\.1 413 .*Connection: close\r\n/s);
    expect(target.requests).toHaveLength(1);
    expect(proxy.counter("limit_body_bytes")).toBe(1);
  });

  it("refuses a body before it is asked for, when its length is known", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], routes });
    const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n";
    const answers = await proxy.client().send(head).rest();
    expect(answers).toMatch(/^HTTP\/1\.1 413 Content Too Large\r\n/);
    expect(answers).not.toContain("100 Continue");
    expect(target.connectionCount).toBe(0);
  });

  it("refuses a body that was sent without asking just the same: not a byte of it reaches the target", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], routes });
    expect(
      await proxy
        .client()
        .send(post("/", "x".repeat(200_000)))
        .rest(),
    ).toMatch(/^HTTP\/1\.1 413 /);
    expect(target.connectionCount).toBe(0);
  });

  it("lets a client ask that does not say how long its body is, and breaks off where it is too long", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 100 Continue\r\n\r\n"));
    });
    const proxy = await rig({ ports: [target.port], routes });
    const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    const client = proxy.client().send(head);
    expect((await client.answer()).head).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("b\r\nhello world\r\n0\r\n\r\n");
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 413 .*Connection: close\r\n/s);
    await until(() => target.sockets.size === 0);
    expect([proxy.counter("limit_body_bytes"), proxy.counter("attempts_lost")]).toEqual([1, 0]);
  });

  it("counts the content of a chunked body, and not its framing", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], routes });
    expect((await proxy.ask(`${chunked(1, 1, 1, 7)}0\r\n\r\n`)).head).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("breaks the attempt off where a chunked body becomes too long", async () => {
    const target = await rawBackend((socket) => void socket.resume());
    const proxy = await rig({ ports: [target.port], routes });
    const client = proxy.client().send(chunked(6));
    await until(() => target.sockets.size === 1);
    client.send("6\r\nxxxxxx\r\n0\r\n\r\n");
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 413 /);
    await until(() => target.sockets.size === 0);
    expect([proxy.counter("limit_body_bytes"), proxy.counter("attempts_lost")]).toEqual([1, 0]);
  });

  it("cuts a client whose body becomes too long in the midst of its answer", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"));
    });
    const proxy = await rig({ ports: [target.port], routes });
    const client = proxy.client().send(chunked(6));
    await client.answer(false);
    client.send("6\r\nxxxxxx\r\n");
    expect(await client.closed).toBe("reset");
  });
});

describe("row 44: limits on connections", () => {
  it("hold for one address and leave the others alone", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits: { addressConnectionMaxCount: 2 } } });
    const clients = [proxy.client(), proxy.client(), proxy.client("127.0.0.2")];
    for (const client of clients) await client.send(get("/")).answer();
    await proxy.client().closed;
    expect([proxy.counter("limit_address_connections"), proxy.counter("connections_refused")]).toEqual([1, 1]);
    clients[0]!.close();
    await until(() => proxy.counter("connections_active") === 2);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
  });

  it("do not hold for the address of a trusted proxy", async () => {
    const target = await hello();
    const server = { limits: { addressConnectionMaxCount: 1 }, trustedProxies: ["127.0.0.1"] };
    const proxy = await rig({ ports: [target.port], server });
    for (const client of [proxy.client(), proxy.client()]) await client.send(get("/")).answer();
  });

  it("hold for all of them together", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits: { connectionMaxCount: 1 } } });
    await proxy.client().send(get("/")).answer();
    await proxy.client("127.0.0.2").closed;
    expect(proxy.counter("limit_connections")).toBe(1);
  });
});

describe("limits on what is sent ahead", () => {
  it("stop reading a client that sends more requests than it waits for, and lose none", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(String(request.head.length))));
    const proxy = await rig({ ports: [target.port], server: { limits: { pipelinedMaxBytes: 2_000 } } });
    const client = proxy.client().send(get("/", `X: ${"y".repeat(100)}\r\n`).repeat(1_000));
    for (let i = 0; i < 1_000; i++) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 200 /);
    expect(proxy.counter("limit_pipelined")).toBeGreaterThan(0);
  });

  it("take turns with the others where we answer by ourselves", async () => {
    const proxy = await rig({
      ports: [],
      routes: [{ paths: ["/none"] }],
      server: { limits: { pipelinedMaxCount: 10 } },
    });
    const client = proxy.client().send(get("/").repeat(200));
    for (let i = 0; i < 200; i++) expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 404 /);
    expect(proxy.counter("limit_pipelined")).toBeGreaterThanOrEqual(10);
  });

  it("still let a client be noticed that leaves with requests sent ahead", async () => {
    const target = await backend(() => {});
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/").repeat(3));
    await until(() => target.requests.length === 1);
    client.socket.resetAndDestroy();
    await until(() => target.sockets.size === 0);
  });
});

describe("row 43 and S8: limits on clients' time", () => {
  const limits = { rateGraceMs: 500, headTimeoutMs: 300, keepAliveTimeoutMs: 300, lingerTimeoutMs: 50 };

  it("end a head that takes too long, and a connection that nothing comes on", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits } });
    const [slow, idle] = [proxy.client().send("GET / HTTP/1.1\r\nHost: a"), proxy.client().send(get("/"))];
    expect(await slow.rest()).toMatch(/^HTTP\/1\.1 408 /);
    await idle.closed;
    expect([proxy.counter("limit_head_time"), proxy.counter("limit_idle_time")]).toEqual([1, 1]);
  });

  it.each([
    ["end a body that drips", 1, 408],
    ["let a body take its time that keeps up the rate", 40, 200],
  ])("%s", async (_, bytesAtOnce, status) => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], server: { limits } });
    const client = proxy.client().send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytesAtOnce * 30}\r\n\r\n`);
    const dripping = setInterval(() => client.send("x".repeat(bytesAtOnce)), 50);
    const { head } = await client.answer();
    clearInterval(dripping);
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    await until(() => status === 200 || target.sockets.size === 0);
    expect([proxy.counter("limit_body_rate"), proxy.counter("attempts_lost")]).toEqual([status === 200 ? 0 : 1, 0]);
  });

  it("do not blame a client for a target that takes nothing for a while", async () => {
    const bodyBytes = 8 * 1_048_576;
    const target = await rawBackend((socket) => {
      let left = bodyBytes;
      socket.pause();
      socket.on("data", (bytes) => {
        left -= bytes.length;
        if (left <= 0) socket.write(answerText("all"));
      });
      setTimeout(() => socket.resume(), 1_200);
    });
    const proxy = await rig({ ports: [target.port], server: { limits } });
    const client = proxy.client().send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
    client.socket.write(Buffer.alloc(bodyBytes));
    expect((await client.answer()).body).toBe("all");
    expect(proxy.counter("limit_body_rate")).toBe(0);
  });

  it("end an answer that its client takes too slowly, and not one that it takes at its leisure", async () => {
    const bodyBytes = 12 * 1_048_576;
    const answer = Buffer.concat([
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n`),
      Buffer.alloc(bodyBytes),
    ]);
    const target = await backend((_, socket) => void socket.write(answer));
    const proxy = await rig({ ports: [target.port], server: { limits } });
    const [stuck, slow] = [proxy.client().send(get("/")), proxy.client().send(get("/"))];
    stuck.socket.pause();
    let received = 0;
    let rested = 0;
    slow.socket.removeAllListeners("data");
    slow.socket.on("data", async (bytes: Buffer) => {
      received += bytes.length;
      // By what came, and not by pieces: a busy machine brings many small ones.
      if (received - rested < 131_072) return;
      rested = received;
      slow.socket.pause();
      await sleep(4);
      slow.socket.resume();
    });
    await until(() => proxy.counter("limit_read_rate") === 1);
    stuck.socket.resume();
    expect(await stuck.closed).toBe("reset");
    await until(() => received > bodyBytes);
    expect(proxy.counter("limit_read_rate")).toBe(1);
    await until(() => target.sockets.size <= 1);
  });
});

describe("limits on targets' time", () => {
  it("count which of a service's times ran out", async () => {
    const hung = await rawBackend((socket) => socket.pause());
    const service = { readTimeoutMs: 150, writeTimeoutMs: 150, retries: 0 };
    const proxy = await rig({ ports: [hung.port], service });
    expect((await proxy.ask(get("/"))).head).toMatch(/^HTTP\/1\.1 504 /);
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n");
    client.socket.write(Buffer.alloc(30_000_000));
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 504 /);
    expect([proxy.counter("limit_read_time"), proxy.counter("limit_write_time")]).toEqual([1, 1]);
  });

  it("do not run while a target that answers already waits for the rest of the body", async () => {
    const target = await rawBackend((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
      socket.on("data", (bytes) => {
        if (bytes.toString("latin1").endsWith("z")) socket.write("0\r\n\r\n");
      });
    });
    const proxy = await rig({ ports: [target.port], service: { readTimeoutMs: 150, writeTimeoutMs: 150 } });
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\ny");
    await until(() => proxy.counter("responses_2xx") === 1);
    await sleep(500);
    expect((await client.send("z").answer()).body).toBe("1\r\na\r\n0\r\n\r\n");
    expect(proxy.counter("attempts_lost")).toBe(0);
  });

  it("do not run while a client does not take the answer, also when its body ends meanwhile", async () => {
    const answerBytes = 12 * 1_048_576;
    const target = await rawBackend((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${answerBytes}\r\n\r\n`);
        socket.write(Buffer.alloc(answerBytes));
      });
    });
    const proxy = await rig({ ports: [target.port], service: { readTimeoutMs: 150, writeTimeoutMs: 150 } });
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\ny");
    client.socket.pause();
    await until(() => proxy.counter("responses_2xx") === 1);
    await sleep(300);
    client.send("z");
    await sleep(500);
    client.socket.resume();
    expect((await client.answer()).body).toHaveLength(answerBytes);
    expect(proxy.counter("attempts_lost")).toBe(0);
  });

  it.each([
    ["the route's", { routes: [{ totalTimeoutMs: 350 }] }],
    ["the node's, where the route says nothing", { server: { limits: { totalTimeoutMs: 350 } } }],
  ])("end all attempts together after a total, %s", async (_, options) => {
    const [first, second] = [await backend(() => {}), await backend(() => {})];
    const proxy = await rig({ ports: [first.port, second.port], service: { readTimeoutMs: 200 }, ...options });
    const client = proxy.client().send(get("/"));
    const { head } = await client.answer();
    expect(head).toMatch(/^HTTP\/1\.1 504 .*Proxy-Status: penstock; error=http_response_timeout/s);
    expect(head).not.toContain("Connection: close");
    expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
    await until(() => first.sockets.size + second.sockets.size === 0);
    expect([proxy.counter("limit_total_time"), proxy.counter("attempts_lost")]).toEqual([1, 1]);
    // The connection is as good as before.
    expect((await client.send(get("/")).answer()).head).toMatch(/^HTTP\/1\.1 504 /);
  });

  it("cut an answer that is not whole when the total is over", async () => {
    const target = await backend((_, socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"));
    const proxy = await rig({ ports: [target.port], routes: [{ totalTimeoutMs: 100 }] });
    const client = proxy.client().send(get("/"));
    expect(await client.closed).toBe("reset");
    await until(() => target.sockets.size === 0);
  });

  it("leave a request alone that is done in time, also the next on its connection", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], routes: [{ totalTimeoutMs: 200 }] });
    const client = proxy.client();
    for (let i = 0; i < 6; i++) {
      expect((await client.send(get("/")).answer()).body).toBe("hello");
      await sleep(60);
    }
    expect(proxy.counter("limit_total_time")).toBe(0);
  });
});

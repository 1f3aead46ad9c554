import { describe, expect, it } from "vitest";
import { testSet } from "../config/worker-config.test-entities.ts";
import {
  answerText,
  backend,
  closedPort,
  get,
  post,
  type RawMessage,
  rawBackend,
  rig,
  until,
} from "./proxy-server.test-rig.ts";

const echoTarget = (request: RawMessage) => /^\S+ (\S+)/.exec(request.head)![1]!;
/** Answers with the target it was asked for. */
const echo = () => backend((request, socket) => void socket.write(answerText(echoTarget(request))));

describe("ProxyServer", () => {
  it("keeps both connections open from request to request", async () => {
    const target = await echo();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 20; i++) expect((await client.send(get(`/${i}`)).answer()).body).toBe(`/${i}`);
    expect(target.connectionCount).toBe(1);
    expect(proxy.counter("connections_accepted")).toBe(1);
  });

  it("answers pipelined requests in order", async () => {
    const target = await echo();
    const proxy = await rig({ ports: [target.port] });
    const count = 200;
    const client = proxy.client().send(Array.from({ length: count }, (_, i) => get(`/${i}`)).join(""));
    for (let i = 0; i < count; i++) expect((await client.answer()).body).toBe(`/${i}`);
  });

  it("answers pipelined requests with bodies, cut at every byte, in order", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [target.port] });
    const chunked = `POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n`;
    const text = post("/a", "first") + chunked + get("/c") + post("/d", "fourth");
    const client = proxy.client();
    for (const byte of text) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const bodies = [await client.answer(), await client.answer(), await client.answer(), await client.answer()];
    expect(bodies.map((each) => each.body)).toEqual(["first", "3\r\nabc\r\n0\r\nT: u\r\n\r\n", "", "fourth"]);
  });

  it("tells the upstream where a request came from, and nothing of what concerned this hop", async () => {
    const target = await echo();
    const proxy = await rig({ ports: [target.port], routes: [{ paths: ["/mock"] }], service: { path: "/base" } });
    const answer = await proxy.ask(
      "GET /mock/x/../y?z=1 HTTP/1.1\r\nHost: A.test:99\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: gopher\r\n" +
        "x_forwarded_for: 192.0.2.2\r\nX-Real-IP: 192.0.2.3\r\nVia: 1.1 before\r\nTE: trailers\r\nKeep-Alive: 1\r\n" +
        "X-Drop: 1\r\nConnection: x-drop\r\nX-Keep: 1\r\n\r\n",
    );
    const id = /^X-Kong-Request-Id: ([0-9a-f]{32})\r$/m.exec(answer.head)![1];
    expect(target.requests[0]!.head).toBe(
      `GET /base/y?z=1 HTTP/1.1\r\nHost: target.test:${target.port}\r\nVia: 1.1 before\r\nX-Keep: 1\r\nTE: trailers\r\nConnection: TE\r\n` +
        "X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\n" +
        `X-Forwarded-Port: ${proxy.server.port}\r\nX-Forwarded-Path: /mock/x/../y\r\nX-Forwarded-Prefix: /mock\r\n` +
        `X-Real-IP: 127.0.0.1\r\nX-Kong-Request-Id: ${id}\r\nVia: 1.1 penstock\r\n\r\n`,
    );
  });

  it.each([
    ["the endpoint's own name", {}, {}, (port: number) => `target.test:${port}`],
    ["the upstream's host_header", { hostHeader: "up.test" }, {}, () => "up.test"],
    ["the client's Host when it is preserved", { hostHeader: "up.test" }, { preserveHost: true }, () => "A.test:99"],
  ])("sends %s as Host", async (_, options, route, want) => {
    const target = await echo();
    const proxy = await rig({ ports: [target.port], routes: [route], ...options });
    await proxy.ask("GET / HTTP/1.1\r\nHost: A.test:99\r\n\r\n");
    expect(target.requests[0]!.head).toContain(`\r\nHost: ${want(target.port)}\r\n`);
  });

  it("adds what it knows to an answer and takes out what concerned the hop before", async () => {
    const lines =
      "Server: mine\r\nX-Drop: 1\r\nConnection: x-drop\r\nKeep-Alive: timeout=5\r\nVia: 1.0 far\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n";
    const target = await backend((_, socket) => void socket.write(answerText("hello", lines)));
    const proxy = await rig({ ports: [target.port] });
    const { head, body } = await proxy.ask(get("/"));
    expect(body).toBe("hello");
    expect(head).toMatch(
      /^HTTP\/1\.1 200 OK\r\nServer: mine\r\nVia: 1\.0 far\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\nDate: [^\r]+ GMT\r\nVia: 1\.1 penstock\r\nX-Kong-Upstream-Latency: \d+\r\nX-Kong-Proxy-Latency: \d+\r\nX-Kong-Request-Id: [0-9a-f]{32}\r\n\r\n$/,
    );
  });

  it.each([
    ["HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", /Content-Length: 9\r\n/],
    ["HEAD without framing", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", /^(?!.*(Content-Length|Transfer-Encoding))/s],
    [
      "304 with a length",
      "GET",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
      /304 Not Modified\r\n.*Content-Length: 9/s,
    ],
    ["204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", /^HTTP\/1\.1 204 No Content\r\n(?!.*Content-Length)/s],
    ["100 unasked", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n", /^HTTP\/1\.1 204 Fine\r\n/],
  ])("passes %s on and reuses both connections", async (_, method, answer, want) => {
    const target = await backend((_request, socket) => void socket.write(answer));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 3; i++) {
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect((await client.answer(false)).head).toMatch(want);
    }
    expect(target.connectionCount).toBe(1);
  });

  it("passes a chunked answer on, however it is cut, and decodes it for HTTP/1.0", async () => {
    const parts = [
      "HTTP/1.1 200 OK\r\nTransfer-Enc",
      "oding: chunked\r\n\r\n",
      "3;e=f\r\nab",
      "c\r\n0",
      "\r\nT: u\r\n\r\n",
    ];
    const target = await backend(async (_, socket) => {
      for (const part of parts) {
        socket.write(part);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const proxy = await rig({ ports: [target.port] });
    expect((await proxy.ask(get("/"))).body).toBe("3\r\nabc\r\n0\r\nT: u\r\n\r\n");
    const old = proxy.client().send("GET / HTTP/1.0\r\n\r\n");
    expect(await old.rest()).toMatch(/^HTTP\/1\.1 200 OK\r\n(?!.*Transfer-Encoding).*Connection: close\r\n\r\nabc$/s);
    expect(target.connectionCount).toBe(1);
  });

  it("puts an answer that ends with its connection into chunks", async () => {
    const target = await backend((_, socket) => {
      socket.write("HTTP/1.0 200 OK\r\n\r\nabc");
      setImmediate(() => socket.end("defg"));
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 2; i++) {
      const { body } = await client.send(get("/")).answer();
      expect(body.replaceAll(/[0-9a-f]+\r\n([^\r]*)\r\n/g, "$1").trimEnd()).toBe("abcdefg");
      expect(body.endsWith("0\r\n\r\n")).toBe(true);
    }
    expect(target.connectionCount).toBe(2);
  });

  it("sends an answer's head on before its body comes", async () => {
    let finish = () => {};
    const target = await backend((_, socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
      finish = () => socket.write("ok");
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(get("/"));
    expect((await client.answer(false)).head).toContain("Content-Length: 2");
    finish();
    client.send(get("/"));
    await until(() => target.requests.length === 2);
    finish();
  });

  it.each([
    ["no route", { routes: [{ paths: ["/only"] }] }, 404, "no Route matched with those values"],
    ["a route without service", { routes: [{ serviceIndex: -1 }] }, 503, "no Service found with those values"],
    ["a protocol that is not built", { service: { isProtocolSupported: false } }, 503, "protocol not supported yet"],
    ["no endpoint", { ports: [] }, 503, "failure to get a peer from the ring-balancer"],
    ["a route for https alone", { routes: [{ protocols: ["https"] as const }] }, 426, "Please use HTTPS protocol"],
  ])("answers %s by itself and keeps the connection", async (_, options, status, message) => {
    const target = await echo();
    const proxy = await rig({ ports: [target.port], ...options });
    const client = proxy.client();
    for (let i = 0; i < 2; i++) {
      const { head, body } = await client.send(post("/x", "some body")).answer();
      expect(head).toMatch(
        new RegExp(
          `^HTTP/1\\.1 ${status} .*\r\nContent-Type: application/json; charset=utf-8\r\n.*Server: penstock/0\\.0\\.1\r\n`,
          "s",
        ),
      );
      const id = /X-Kong-Request-Id: (\w+)/.exec(head)![1];
      expect(body).toBe(`{\n  "message":"${message}",\n  "request_id":"${id}"\n}`);
    }
    expect(target.connectionCount).toBe(0);
    expect(proxy.counter("connections_accepted")).toBe(1);
  });

  it("says so while it has no configuration, and when names do not resolve", async () => {
    const proxy = await rig(null);
    expect((await proxy.ask(get("/"))).body).toContain("no configuration has reached this node yet");
    proxy.apply({ ports: [] });
    proxy.server.engine.snapshots.applyEndpoints([testSet([], { emptyBecause: "unresolved" })]);
    const { head, body } = await proxy.ask(get("/"));
    expect(head).toMatch(/^HTTP\/1\.1 503 /);
    expect(body).toContain("name resolution failed");
  });

  it("redirects to https when the route asks for it", async () => {
    const proxy = await rig({ ports: [], routes: [{ protocols: ["https"], httpsRedirectStatus: 301 }] });
    const { head } = await proxy.ask("GET /a//b?c HTTP/1.1\r\nHost: a.test:8000\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 301 Moved Permanently\r\n.*\r\nLocation: https:\/\/a\.test\/a\/b\?c\r\n/s);
  });

  it("serves a connection by the old and then the new snapshot without closing it", async () => {
    const [before, after] = [await echo(), await echo()];
    const proxy = await rig({ ports: [before.port], routes: [{ paths: ["/old"] }] });
    const client = proxy.client();
    expect((await client.send(get("/old/1")).answer()).body).toBe("/1");
    expect((await client.send(get("/new/1")).answer()).head).toContain("404");
    proxy.apply({ ports: [after.port], routes: [{ paths: ["/new"] }] });
    expect((await client.send(get("/new/2")).answer()).body).toBe("/2");
    expect((await client.send(get("/old/2")).answer()).head).toContain("404");
    expect([before.requests.length, after.requests.length]).toEqual([1, 1]);
    expect(proxy.counter("connections_accepted")).toBe(1);
  });

  it("row 22: keeps its connections to a target that stays over 20 swaps, and closes those to targets that go", async () => {
    const [stays, goes] = [await echo(), await echo()];
    const proxy = await rig({ ports: [stays.port] });
    const client = proxy.client();
    for (let swap = 0; swap < 20; swap++) {
      proxy.apply({ ports: swap % 2 === 0 ? [stays.port, goes.port] : [stays.port] });
      for (let i = 0; i < 2; i++) expect((await client.send(get("/x")).answer()).body).toBe("/x");
      await until(() => goes.sockets.size === (swap + 1) % 2);
    }
    expect(stays.connectionCount).toBe(1);
    expect(goes.connectionCount).toBe(10);
  });

  it("leaves without breaking what is under way", async () => {
    let finish = () => {};
    const target = await backend((request, socket) => {
      if (echoTarget(request) === "/slow") finish = () => socket.write(answerText("slow"));
      else socket.write(answerText("fast"));
    });
    const proxy = await rig({ ports: [target.port] });
    const [slow, idle] = [proxy.client().send(get("/slow")), proxy.client()];
    await idle.send(get("/")).answer();
    await until(() => target.requests.length === 2);
    const drained = proxy.server.drain(10_000);
    expect((await proxy.ask(get("/new"))).head).toContain("Connection: close\r\n");
    expect(await idle.closed).toBe("end");
    finish();
    const { head, body } = await slow.answer();
    expect([body, head.includes("Connection: close\r\n")]).toEqual(["slow", true]);
    await drained;
    const late = proxy.client();
    expect(await late.closed).toBe("reset");
  });

  it("works the same where accepted sockets cannot be wrapped", async () => {
    const target = await backend((request, socket) => void socket.write(answerText(request.body)));
    const proxy = await rig({ ports: [target.port], server: { acceptMode: "events" } });
    const client = proxy.client();
    const long = "x".repeat(100_000);
    for (const body of ["a", long, "", "b"]) expect((await client.send(post("/", body)).answer()).body).toBe(body);
  });

  it("does not wait for an address that refuses: two of three requests would", async () => {
    const target = await echo();
    const proxy = await rig({ ports: [await closedPort(), target.port, await closedPort()] });
    const client = proxy.client();
    for (let i = 0; i < 12; i++) expect((await client.send(get(`/${i}`)).answer()).body).toBe(`/${i}`);
    expect(proxy.ejected.length).toBe(2);
    expect(proxy.counter("connect_failures")).toBe(2);
  });

  it("binds nothing when one of its addresses is taken", async () => {
    const taken = await rawBackend(() => {});
    await expect(rig({ ports: [], server: { port: taken.port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
